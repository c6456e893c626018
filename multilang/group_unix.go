//go:build unix

package multilang

import (
	"os"
	"syscall"
)

const (
	terminate = syscall.SIGTERM
	kill      = syscall.SIGKILL
)

// signalGroup signals what is left of the group that p leads, right after p was waited for at the latest.
func signalGroup(p *os.Process, s syscall.Signal) {
	// ESRCH, nobody is left, is the best answer; EPERM, all that is left runs as somebody else, leaves nothing to do.
	_ = syscall.Kill(-p.Pid, s)
}
