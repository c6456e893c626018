package javadaemon

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed logback.xml
var logback []byte

// LogConfig returns a logback file that has the daemon log to stderr, in a readable way; it is put into the folder unless it is
// there. Its name tells its content, so that launchers of several versions share a folder.
func (f Folder) LogConfig() (string, error) {
	dir, err := filepath.Abs(f.Dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(logback)
	path := filepath.Join(dir, "logback-"+hex.EncodeToString(sum[:4])+".xml")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, logback) {
		return path, nil
	}
	file, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return "", fmt.Errorf("write to the jar folder: %w", err)
	}
	defer os.Remove(file.Name()) // no longer there if all went well
	_, err = file.Write(logback)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("write to the jar folder: %w", err)
	}
	return path, nil
}
