// SPDX-License-Identifier: GPL-3.0-or-later
//
// A Socket.IO client for the tests: node client.js VERSION TRANSPORT URL
// It prints what it hears as JSON, one object a line, and does what lines on its input say:
//   {"emit": "/subscription", "data": {…}}   the answer comes as {"answer": …, "to": …}

'use strict';

const [version, transport, url] = process.argv.slice(2);
const { io } = version === '2' ? { io: require('socket.io-client-2') } : require('socket.io-client-4');
const socket = io(url, { transports: transport.split('+'), reconnectionDelay: 100, reconnectionDelayMax: 200 });

const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const names = ['/lifecycle', '/status', '/jobs', '/task', '/tasklog', '/last-rendered', '/workers', '/workertags', '/chat'];
for (const name of names) {
  socket.on(name, (data) => print({ event: name, data }));
}
socket.on('connect', () => print({ event: 'connect', data: { transport: socket.io.engine.transport.name } }));
socket.on('disconnect', (reason) => print({ event: 'disconnect', data: { reason } }));
socket.on('connect_error', (error) => print({ event: 'connect_error', data: { message: error.message } }));
const engine = () => socket.io.engine.on('upgrade', (to) => print({ event: 'upgrade', data: { transport: to.name } }));
socket.on('connect', engine);

require('readline')
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { emit, data } = JSON.parse(line);
    socket.emit(emit, data, (answer) => print({ event: 'answer', data: { answer, to: data } }));
  })
  .on('close', () => process.exit(0));
