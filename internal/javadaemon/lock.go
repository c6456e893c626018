package javadaemon

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Jar is one file of the closure.
type Jar struct {
	Group, Artifact, Version string
	Classifier               string // or ""
	Size                     int64  // bytes
	SHA256                   string // 64 lower-case hex digits
}

// File is the name of the jar in a jar folder.
func (j Jar) File() string {
	name := j.Artifact + "-" + j.Version
	if j.Classifier != "" {
		name += "-" + j.Classifier
	}
	return name + ".jar"
}

// Path is where a Maven repository has the jar, below its base address.
func (j Jar) Path() string {
	return path.Join(strings.ReplaceAll(j.Group, ".", "/"), j.Artifact, j.Version, j.File())
}

// Coordinates are group:artifact:version, and :classifier if there is one.
func (j Jar) Coordinates() string {
	c := j.Group + ":" + j.Artifact + ":" + j.Version
	if j.Classifier != "" {
		c += ":" + j.Classifier
	}
	return c
}

//go:embed closure.lock
var closure string

// Closure returns the jars of the daemon that this version of the package runs, in the order of the class path. The slice is
// the caller's.
func Closure() []Jar {
	jars, err := ParseLock("closure.lock", closure)
	if err != nil {
		panic(err) // it is part of the program, and tested
	}
	return jars
}

// ParseLock reads a lock: a line for each jar with its coordinates, size and SHA-256, and comments that begin with #. name
// stands in errors, which tell the line. A version of the AWS SDK that must not be used is an error.
func ParseLock(name, text string) ([]Jar, error) {
	var jars []Jar
	seen := map[string]int{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		j, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if before := seen[j.File()]; before != 0 {
			return nil, fmt.Errorf("%s:%d: %s is in line %d already", name, number, j.File(), before)
		}
		seen[j.File()] = number
		jars = append(jars, j)
	}
	if len(jars) == 0 {
		return nil, fmt.Errorf("%s: it names no jar", name)
	}
	return jars, nil
}

func parseLine(line string) (Jar, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Jar{}, fmt.Errorf("%q is not coordinates, size and SHA-256", line)
	}
	c := strings.Split(fields[0], ":")
	if len(c) < 3 || len(c) > 4 {
		return Jar{}, fmt.Errorf("%q is not group:artifact:version", fields[0])
	}
	for _, part := range c {
		if part == "" || strings.Trim(part, ".") == "" || strings.ContainsAny(part, `/\`) {
			return Jar{}, fmt.Errorf("%q is not group:artifact:version", fields[0])
		}
	}
	j := Jar{Group: c[0], Artifact: c[1], Version: c[2], SHA256: fields[2]}
	if len(c) == 4 {
		j.Classifier = c[3]
	}
	var err error
	if j.Size, err = strconv.ParseInt(fields[1], 10, 64); err != nil || j.Size <= 0 {
		return Jar{}, fmt.Errorf("%q is not a size in bytes", fields[1])
	}
	if sum, err := hex.DecodeString(j.SHA256); err != nil || len(sum) != 32 || strings.ToLower(j.SHA256) != j.SHA256 {
		return Jar{}, fmt.Errorf("%q is not a SHA-256 in lower-case hex", j.SHA256)
	}
	if j.Group == "software.amazon.awssdk" && brokenSDK(j.Version) {
		return Jar{}, brokenSDKError(j.File())
	}
	return j, nil
}

// FormatLock is what [ParseLock] reads, one line for each jar, without comments.
func FormatLock(jars []Jar) string {
	var b strings.Builder
	for _, j := range jars {
		fmt.Fprintf(&b, "%s %d %s\n", j.Coordinates(), j.Size, j.SHA256)
	}
	return b.String()
}
