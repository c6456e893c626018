package javadaemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// OldestJava is the oldest feature release of Java that runs the daemon: its classes, and logback 1.3, are for Java 8.
const OldestJava = 8

// versionTimeout is how long java -version may take. A JVM answers within a second, on a machine under load within a few.
const versionTimeout = time.Minute

// Java is a Java program that can run the daemon.
type Java struct {
	Path    string
	Version string // as it tells it, such as 17.0.15 or 1.8.0_392
}

// FindJava looks for Java where named says, else in home/bin (JAVA_HOME), else in the PATH, and asks it for its version. It is an
// error if there is none at the first of these places that is given, or if it is older than [OldestJava].
func FindJava(ctx context.Context, named, home string) (Java, error) {
	path, why, err := locateJava(named, home)
	if err != nil {
		return Java{}, err
	}
	said, err := askVersion(ctx, path)
	if err != nil {
		return Java{}, fmt.Errorf("ask %s%s for its version: %w", path, why, err)
	}
	version, feature := parseVersion(said)
	switch {
	case feature == 0:
		return Java{}, fmt.Errorf("%s%s does not tell its version, as Java does, but %q", path, why, firstLine(said))
	case feature < OldestJava:
		return Java{}, fmt.Errorf("%s%s is Java %s, which is too old: the daemon needs %d or newer", path, why, version, OldestJava)
	}
	return Java{Path: path, Version: version}, nil
}

func locateJava(named, home string) (path, why string, err error) {
	switch {
	case named != "":
		if path, err = exec.LookPath(named); err != nil && !errors.Is(err, exec.ErrDot) {
			return "", "", fmt.Errorf("no Java: %w", err)
		}
		return path, "", nil
	case home != "":
		program := "java"
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
		if path, err = exec.LookPath(filepath.Join(home, "bin", program)); err != nil {
			return "", "", fmt.Errorf("no Java where JAVA_HOME says: %w", err)
		}
		return path, " (of JAVA_HOME)", nil
	}
	if path, err = exec.LookPath("java"); err != nil {
		return "", "", fmt.Errorf("no Java: JAVA_HOME is not set, and the PATH has no java; install a Java runtime, version %d or newer", OldestJava)
	}
	return path, "", nil
}

// askVersion returns what java -version writes.
func askVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-version")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil && len(bytes.TrimSpace(out)) > 0:
		return "", fmt.Errorf("%w: %s", err, firstLine(string(out)))
	}
	return string(out), err
}

// versionLine is how every Java tells its version: java version "1.8.0_392", openjdk version "17.0.15" 2025-04-15.
var versionLine = regexp.MustCompile(`(?m)^\S+ version "((?:1\.)?(\d+)[^"]*)"`)

// parseVersion finds the version and its feature release (8 for 1.8.0_392); 0 if there is none. Lines of other things, such as
// "Picked up JAVA_TOOL_OPTIONS", may stand before.
func parseVersion(said string) (version string, feature int) {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return "", 0
	}
	feature, err := strconv.Atoi(m[2])
	if err != nil {
		return m[1], 0
	}
	return m[1], feature
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
