package javadaemon

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// project is as much of a POM as it takes to name jars.
type project struct {
	XMLName      xml.Name     `xml:"http://maven.apache.org/POM/4.0.0 project"`
	ModelVersion string       `xml:"modelVersion"`
	GroupID      string       `xml:"groupId"`
	ArtifactID   string       `xml:"artifactId"`
	Version      string       `xml:"version"`
	Packaging    string       `xml:"packaging"`
	Dependencies []dependency `xml:"dependencies>dependency"`
}

type dependency struct {
	GroupID    string      `xml:"groupId"`
	ArtifactID string      `xml:"artifactId"`
	Version    string      `xml:"version"`
	Classifier string      `xml:"classifier,omitempty"`
	Exclusions []exclusion `xml:"exclusions>exclusion"`
}

type exclusion struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
}

// pom names the jars themselves, none of what they depend on: Maven chooses nothing.
func pom(jars []Jar) ([]byte, error) {
	p := project{ModelVersion: "4.0.0", GroupID: "com.github.kinesis-go.kcl", ArtifactID: "jars", Version: "1", Packaging: "pom"}
	for _, j := range jars {
		p.Dependencies = append(p.Dependencies, dependency{j.Group, j.Artifact, j.Version, j.Classifier, []exclusion{{"*", "*"}}})
	}
	return xml.MarshalIndent(p, "", "  ")
}

// resolve has Maven copy the jars, from its own cache or from where its settings say, and takes over those that are right.
func (f Folder) resolve(ctx context.Context, jars []Jar) error {
	dir, err := os.MkdirTemp(f.Dir, unfinished+"*")
	if err != nil {
		return fmt.Errorf("write to the jar folder: %w", err)
	}
	defer os.RemoveAll(dir)
	text, err := pom(jars)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), text, 0o644); err != nil {
		return fmt.Errorf("write to the jar folder: %w", err)
	}
	t := &tally{tell: f.Progress, now: Progress{AllJars: len(jars)}}
	t.add(0, 0)
	if err := f.maven(ctx, dir, t); err != nil {
		return fmt.Errorf("get %d jars with Maven: %w", len(jars), err)
	}
	for _, j := range jars {
		file := filepath.Join(dir, j.File())
		if err := check(file, j); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("get %d jars with Maven: it brings no %s", len(jars), j.Coordinates())
		} else if err != nil {
			return fmt.Errorf("get %d jars with Maven: %s: %w", len(jars), j.Coordinates(), err)
		}
		if err := f.place(file, j); err != nil {
			return fmt.Errorf("write to the jar folder: %w", err)
		}
		t.add(1, 0)
	}
	return nil
}

func (f Folder) maven(ctx context.Context, dir string, t *tally) error {
	cmd := exec.CommandContext(ctx, f.Maven, "-B", "-f", filepath.Join(dir, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	cmd.Dir = dir // where no .mvn of a project lies
	cmd.WaitDelay = 5 * time.Second
	out := &mavenOutput{tally: t}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && out.firstError != "":
		return fmt.Errorf("%w: %s", err, out.firstError)
	}
	return err
}

// mavenOutput watches what Maven says, line by line.
type mavenOutput struct {
	tally      *tally
	line       []byte // unfinished
	firstError string
}

// Write implements [io.Writer].
func (o *mavenOutput) Write(p []byte) (int, error) {
	o.line = append(o.line, p...)
	for {
		line, rest, whole := bytes.Cut(o.line, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		o.take(strings.TrimSpace(string(line)))
		o.line = rest
	}
}

func (o *mavenOutput) take(line string) {
	if text, isError := strings.CutPrefix(line, "[ERROR] "); isError && o.firstError == "" {
		o.firstError = strings.TrimSuffix(text, " -> [Help 1]")
	}
	if strings.HasPrefix(strings.TrimPrefix(line, "[INFO] "), "Downloaded") {
		o.tally.downloaded()
	}
}
