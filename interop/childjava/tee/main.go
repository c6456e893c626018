// Command tee stands between a MultiLang daemon and a child and writes down their conversation, line by line, in the order
// in which it hands the lines on: what the daemon says behind "> ", what the child says behind "< ", and at the end with
// what code the child exited.
//
//	tee folder program argument ...
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	code, err := run(os.Args[1], os.Args[2], os.Args[3:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tee:", err)
	}
	os.Exit(code)
}

func run(dir, program string, args ...string) (int, error) {
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d-%d.txt", time.Now().UnixNano(), os.Getpid())))
	if err != nil {
		return 1, err
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write to a daemon that is gone must not end this process
	t := &transcript{file: file}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 1, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() { // ends with this process: a read of its stdin cannot be interrupted
		t.hand("> ", os.Stdin, stdin)
		_ = stdin.Close() // the child may be gone
	}()
	t.hand("< ", stdout, os.Stdout)
	_ = os.Stdout.Close() // as that of a child that is gone
	err = cmd.Wait()
	code := cmd.ProcessState.ExitCode()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil // the code says it
	}
	return code, errors.Join(err, t.write(fmt.Sprintf("exit %d\n", code)), file.Close())
}

// transcript is written from both directions.
type transcript struct {
	mu   sync.Mutex
	file *os.File
}

func (t *transcript) write(line string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.file.WriteString(line)
	return err
}

// hand hands lines on until the end, each after writing it down: the answer to a line comes behind it.
func (t *transcript) hand(mark string, from io.Reader, to io.Writer) {
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		line, err := r.ReadString('\n')
		if text := strings.TrimRight(line, "\r\n"); text != "" {
			if err := t.write(mark + text + "\n"); err != nil {
				fmt.Fprintln(os.Stderr, "tee:", err)
			}
		}
		if len(line) > 0 {
			if _, err := io.WriteString(to, line); err != nil {
				to = io.Discard // that side is gone; what the other says is of interest all the same
			}
		}
		if err != nil {
			return
		}
	}
}
