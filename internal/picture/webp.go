// SPDX-License-Identifier: GPL-3.0-or-later

package picture

import (
	"image"
	"io"

	"golang.org/x/image/webp"
)

// decodeWebP stretches the brightness and colour of lossy pictures: WebP keeps them in the range of video, and the decoder
// gives them as they are, but Go's image package takes them to fill all of a byte.
func decodeWebP(r io.Reader) (image.Image, error) {
	decoded, err := webp.Decode(r)
	if err != nil {
		return nil, err
	}
	switch m := decoded.(type) {
	case *image.YCbCr:
		stretch(m)
	case *image.NYCbCrA:
		stretch(&m.YCbCr)
	}
	return decoded, nil
}

func stretch(m *image.YCbCr) {
	brightness, colour := ramp(16, 219, 0), ramp(128, 224, 128)
	for i, v := range m.Y {
		m.Y[i] = brightness[v]
	}
	for i, v := range m.Cb {
		m.Cb[i] = colour[v]
	}
	for i, v := range m.Cr {
		m.Cr[i] = colour[v]
	}
}

// ramp spreads so many steps around a value over the 255 of a byte.
func ramp(from, steps, to int) (table [256]uint8) {
	for v := range table {
		table[v] = uint8(min(max(to+((v-from)*255*2+steps)/(2*steps), 0), 255))
	}
	return table
}
