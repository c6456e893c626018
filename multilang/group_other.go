//go:build !unix

package multilang

import (
	"os"
	"syscall"
)

const (
	terminate = syscall.SIGTERM
	kill      = syscall.SIGKILL
)

func ownGroup() *syscall.SysProcAttr { return nil }

// signalGroup kills p alone, for either signal: there are no groups, and there is no signal to ask with.
func signalGroup(p *os.Process, _ syscall.Signal) { _ = p.Kill() }
