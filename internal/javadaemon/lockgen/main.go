package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// list is the goal that tells what a POM needs at run time, pinned because its output is parsed.
const list = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:list"

func main() {
	pom := flag.String("pom", "pom.xml", "the POM `file`")
	out := flag.String("out", "closure.lock", "the lock `file` to write")
	flag.Parse()
	if err := generate(*pom, *out); err != nil {
		fmt.Fprintln(os.Stderr, "lockgen:", err)
		os.Exit(1)
	}
}

func generate(pom, out string) error {
	text, err := resolve(pom)
	if err != nil {
		return err
	}
	jars, err := measure(text)
	if err != nil {
		return err
	}
	lock := fmt.Sprintf("# Made by lockgen from %s: coordinates, bytes, SHA-256, in the order of the class path. Do not edit.\n%s",
		filepath.Base(pom), javadaemon.FormatLock(jars))
	if _, err := javadaemon.ParseLock(out, lock); err != nil {
		return err
	}
	return os.WriteFile(out, []byte(lock), 0o644)
}

// resolve returns the plugin's list: a line "   group:artifact:jar:version:scope:file" for each.
func resolve(pom string) (string, error) {
	dir, err := os.MkdirTemp("", "lockgen-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "list")
	cmd := exec.Command("mvn", "-B", "-q", "-f", pom, list, "-DincludeScope=runtime", "-DoutputAbsoluteArtifactFilename=true", "-DoutputFile="+file)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

var (
	colors = regexp.MustCompile("\x1b\\[[0-9;]*m")
	// entry matches a line of the list; a note about Java modules may follow the file.
	entry = regexp.MustCompile(`^\s+([^\s:]+):([^\s:]+):([^\s:]+)(?::([^\s:]+))?:([^\s:]+):(?:compile|runtime):(.+?\.jar)(?: -- module .*)?\s*$`)
)

// measure turns the list into jars.
func measure(list string) ([]javadaemon.Jar, error) {
	var jars []javadaemon.Jar
	for line := range strings.Lines(colors.ReplaceAllString(list, "")) {
		if strings.Count(line, ":") < 5 {
			continue // a heading
		}
		m := entry.FindStringSubmatch(line)
		if m == nil || m[3] != "jar" {
			return nil, fmt.Errorf("not understood: %q", line)
		}
		j := javadaemon.Jar{Group: m[1], Artifact: m[2], Classifier: m[4], Version: m[5]}
		f, err := os.Open(m[6])
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		j.Size, err = io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		j.SHA256 = hex.EncodeToString(sum.Sum(nil))
		jars = append(jars, j)
	}
	return jars, nil
}
