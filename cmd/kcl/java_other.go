//go:build !unix

package main

import (
	"os"
	"time"
)

func codeOf(s *os.ProcessState) int { return s.ExitCode() }

func killGroup(p *os.Process) { _ = p.Kill() } // the only error is that it has ended

// endGroup does nothing where there are no process groups.
func endGroup(int, time.Duration, <-chan struct{}) {}

// guard does nothing where there are no process groups.
func guard(int) (release func(), err error) { return func() {}, nil }
