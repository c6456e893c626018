package javadaemon

import (
	"archive/zip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// mainClass is the daemon.
const mainClass = "software.amazon.kinesis.multilang.MultiLangDaemon"

// Command is a command line of the daemon. Paths that are relative count from the working directory of the process, which
// becomes that of the programs it starts.
type Command struct {
	Java       string
	Options    []string // of the user, for the JVM
	ClassPath  []string // of the user: stands before the jars, so that its classes and logback.xml win
	Jars       []string
	Properties string
	LogConfig  string // a logback file that the user names, or ""
	OwnLog     string // a logback file that counts unless the user brings one in any way, or ""
}

// Args are the program and its arguments.
func (c Command) Args() ([]string, error) {
	properties, err := filepath.Abs(c.Properties) // absolute, because the daemon looks at its class path first, where a relative name may be another file
	if err != nil {
		return nil, err
	}
	// Java before 18 takes the encoding of the protocol from the locale, which may have no letters but ASCII.
	args := []string{c.Java, "-Dfile.encoding=UTF-8"}
	if c.OwnLog != "" && c.LogConfig == "" && !slices.ContainsFunc(c.ClassPath, configuresLog) {
		args = append(args, "-Dlogback.configurationFile="+c.OwnLog) // a later one of the user's wins
	}
	args = append(args, c.Options...)
	classPath := slices.Concat(c.ClassPath, c.Jars, []string{filepath.Dir(properties)})
	args = append(args, "-cp", strings.Join(classPath, string(os.PathListSeparator)), mainClass, "--properties-file", properties)
	if c.LogConfig != "" {
		args = append(args, "--log-configuration", c.LogConfig)
	}
	return args, nil
}

// configuresLog reports whether a directory or jar holds a configuration that logback finds by itself.
func configuresLog(entry string) bool {
	for _, name := range []string{"logback-test.xml", "logback.xml"} {
		if exists(filepath.Join(entry, name)) == nil {
			return true
		}
	}
	files := []string{entry}
	if filepath.Base(entry) == "*" {
		files, _ = jarsIn(filepath.Dir(entry)) // CheckClassPath tells of what cannot be read
	}
	return slices.ContainsFunc(files, jarConfiguresLog)
}

func jarConfiguresLog(file string) bool {
	r, err := zip.OpenReader(file)
	if err != nil {
		return false // no jar, or not one that Java could read either
	}
	defer r.Close()
	return slices.ContainsFunc(r.File, func(f *zip.File) bool { return f.Name == "logback.xml" || f.Name == "logback-test.xml" })
}

// Quote writes a command so that a shell reads back the same arguments: sh, or on Windows what reads a command line there.
func Quote(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if runtime.GOOS == "windows" {
			quoted[i] = quoteWindows(a)
		} else {
			quoted[i] = quoteShell(a)
		}
	}
	return strings.Join(quoted, " ")
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func quoteShell(arg string) string {
	if plain.MatchString(arg) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// quoteWindows follows CommandLineToArgvW: backslashes are plain unless a quote follows them.
func quoteWindows(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, " \t\"&|<>^()") {
		return arg
	}
	var b strings.Builder
	b.WriteByte('"')
	backslashes := 0
	for _, c := range arg {
		switch c {
		case '\\':
			backslashes++
			continue
		case '"':
			b.WriteString(strings.Repeat(`\`, 2*backslashes+1))
		default:
			b.WriteString(strings.Repeat(`\`, backslashes))
		}
		backslashes = 0
		b.WriteRune(c)
	}
	b.WriteString(strings.Repeat(`\`, 2*backslashes))
	b.WriteByte('"')
	return b.String()
}

// exists returns the error of looking at a file or directory.
func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

// jarsIn returns the jars of a directory, as Java understands directory/*.
func jarsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var jars []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".jar" || ext == ".JAR") {
			jars = append(jars, filepath.Join(dir, e.Name()))
		}
	}
	return jars, nil
}
