//go:build unix && !linux

package multilang

import "syscall"

// ownGroup gives the child a process group of its own. There is no parent-death signal here: a child notices the death of
// this process by the end of its stdin.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
