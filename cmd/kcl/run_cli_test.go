package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes files in a directory of the test's own and returns its path.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// complete is a properties file that starts; its stream exists nowhere.
const complete = `executableName = /bin/true
streamName = orders
applicationName = app
AwsCredentialsProvider = AnonymousCredentialsProvider
regionName = us-east-1
retrievalMode = POLLING
`

// TestRunCommandLine is D74 to D77: the command line of the Java daemon, and what ours adds.
func TestRunCommandLine(t *testing.T) {
	dir := write(t, map[string]string{"args": "--properties-file\nnone.properties\n", "twice": "a\nb\n"})
	for name, tt := range map[string]struct {
		args   string
		stderr string // begins with
	}{
		"no arguments":      {"run", "kcl: which properties file? Give it as an argument, or with -p\nusage: kcl run"},
		"two files":         {"run a b", "kcl: one properties file, not 2: a, b\nusage: "},
		"a file":            {"run none.properties", "kcl: read the properties file: open none.properties: no such file or directory\n"},
		"-p":                {"run -p none.properties", "kcl: read the properties file: open none.properties: "},
		"--properties-file": {"run --properties-file none.properties", "kcl: read the properties file: open none.properties: "},
		"with =":            {"run --properties-file=none.properties", "kcl: read the properties file: open none.properties: "},
		"behind --":         {"run -- none.properties", "kcl: read the properties file: open none.properties: "},
		"from a file":       {"run @" + dir + "/args", "kcl: read the properties file: open none.properties: "},
		"two from a file":   {"run @" + dir + "/twice", "kcl: one properties file, not 2: a, b\nusage: "},
		"no such arguments": {"run @" + dir + "/none", "kcl: read the arguments: open " + dir + "/none: "},
		"-p twice":          {"run -p a -p b", "kcl: invalid argument \"b\" for \"-p, -properties-file\" flag: given twice\nusage: "},
		"-p without value":  {"run -p", "kcl: flag needs an argument: 'p' in -p\nusage: "},
		"unknown flag":      {"run -propertis-file a", "kcl: kcl run has no flag -propertis-file; did you mean -properties-file?\nusage: "},
		"log level":         {"run a -log-level loud", "kcl: -log-level \"loud\" is none of debug, info, warn and error\nusage: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := kcl(t, "", strings.Fields(tt.args)...)
			if r.code != exitFailure || r.stdout != "" || !strings.HasPrefix(r.stderr, tt.stderr) {
				t.Errorf("%v, want exit 1 and %q", r, tt.stderr)
			}
		})
	}
	if r := kcl(t, "", "run", "--version"); r.code != 0 || !strings.HasPrefix(r.stdout, "kcl ") {
		t.Errorf("run --version: %v", r)
	}
}

// TestRunNoProgram holds that nothing is made in AWS for a program that is not there.
func TestRunNoProgram(t *testing.T) {
	file := filepath.Join(write(t, map[string]string{
		"app.properties": strings.Replace(complete, "/bin/true", "./nowhere -x", 1) + "dynamoDBEndpoint = http://127.0.0.1:1\n",
	}), "app.properties")
	r := kcl(t, "", "run", file)
	want := "kcl: " + file + `: executableName: exec: "./nowhere": stat ./nowhere: no such file or directory` + "\n"
	if r.code != exitFailure || !strings.HasSuffix(r.stderr, want) {
		t.Errorf("%v, want exit 1 and %q", r, want)
	}
}

func TestRunBadProperties(t *testing.T) {
	dir := write(t, map[string]string{"app.properties": "streamName = orders\nfailoverTimeMillis = soon\nmaxRecrods = 5\n"})
	r := kcl(t, "", "run", filepath.Join(dir, "app.properties"))
	for _, want := range []string{
		`app.properties:2: failoverTimeMillis: "soon" is not a whole number`, "executableName is required", "applicationName is required",
		"app.properties:3: maxRecrods: is no key and has no effect; did you mean maxRecords?",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr does not say %q:\n%s", want, r.stderr)
		}
	}
	if r.code != exitFailure || r.stdout != "" {
		t.Errorf("%v, want exit 1", r)
	}
}

// TestRunWithoutStream is D46: a daemon that cannot begin ends with code 1, and says why.
func TestRunWithoutStream(t *testing.T) {
	endpoint := serve(t, 1)
	dir := write(t, map[string]string{
		"app.properties": strings.ReplaceAll(complete, "orders", "nowhere") + "kinesisEndpoint = " + endpoint + "\ndynamoDBEndpoint = " + endpoint + "\n",
		"logback.xml":    `<configuration><root level="ERROR"><appender-ref ref="STDOUT"/></root></configuration>`,
	})
	r := kcl(t, "", "run", "-l", filepath.Join(dir, "logback.xml"), filepath.Join(dir, "app.properties"))
	if r.code != exitFailure || r.stdout != "" || !strings.Contains(r.stderr, "nowhere") || strings.Contains(r.stderr, "level=INFO") {
		t.Errorf("%v, want exit 1, an error about the stream, and no INFO", r)
	}
}

func TestLogLevel(t *testing.T) {
	dir := write(t, map[string]string{
		"warn.xml":  "<configuration>\n  <root\n   level = 'warn'>\n</root></configuration>",
		"trace.xml": `<configuration><logger level="OFF"/><root level="TRACE"/></configuration>`,
		"none.xml":  `<configuration/>`,
	})
	for _, tt := range []struct {
		flags   runFlags
		want    slog.Level
		warning string
	}{
		{runFlags{}, slog.LevelInfo, ""},
		{runFlags{level: "debug", logback: "missing"}, slog.LevelDebug, ""},
		{runFlags{logback: filepath.Join(dir, "warn.xml")}, slog.LevelWarn, ""},
		{runFlags{logback: filepath.Join(dir, "trace.xml")}, slog.LevelDebug, ""},
		{runFlags{logback: filepath.Join(dir, "none.xml")}, slog.LevelInfo, "names no level"},
		{runFlags{logback: "missing"}, slog.LevelInfo, "log configuration not read, the level is info: open missing: "},
	} {
		got, warning, err := tt.flags.logLevel()
		if err != nil || got != tt.want || !strings.Contains(warning, tt.warning) || (warning == "") != (tt.warning == "") {
			t.Errorf("logLevel of %+v = %v, %q, %v, want %v, %q", tt.flags, got, warning, err, tt.want, tt.warning)
		}
	}
}
