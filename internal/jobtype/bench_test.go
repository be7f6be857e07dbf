// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import "testing"

func BenchmarkARenderOf10000TasksWithAProcessReady(b *testing.B) {
	s := setupService(b, Options{}, nil)
	benchmark(b, s, renderJob(map[string]any{"frames": "1-10000", "chunk_size": 1.0}))
}

func BenchmarkAnEchoJobWithAProcessReady(b *testing.B) {
	s := setupService(b, Options{}, nil)
	benchmark(b, s, Submission{Name: "a job", Type: "echo-sleep-test", Settings: map[string]any{"message": "hi"}})
}

func benchmark(b *testing.B, s *Service, sub Submission) {
	b.Helper()
	b.Cleanup(s.dropSpare)
	for b.Loop() {
		b.StopTimer()
		if err := s.makeSpare(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		mustCompile(b, s, sub)
	}
}

func BenchmarkAnEchoJobWithoutAProcessReady(b *testing.B) {
	s := setupService(b, Options{}, nil)
	for b.Loop() {
		mustCompile(b, s, Submission{Name: "a job", Type: "echo-sleep-test", Settings: map[string]any{"message": "hi"}})
	}
}
