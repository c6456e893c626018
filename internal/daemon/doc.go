// Package daemon turns the properties file of the Java MultiLangDaemon into the configuration of a worker and the command of
// its children, and does nothing else.
//
//	app.properties ─► props ─► Load: keys, values, checks ─► Settings ─► Worker, Leases, Command
//
// The same file works as it is. Where the Java daemon takes a mistake for a default, this one refuses to start, and it names
// the line, the key and the nearest key that exists:
//
//   - a number or a boolean that cannot be read is an error (Java: 0 or false);
//   - blanks behind a value are trimmed with a warning (Java: "true " is false);
//   - unknown keys are warned of (Java: silence); below a client's namespace they are errors, as in Java;
//   - false and values other than 0 always count; 0 stands for the default of a number, as in Java;
//   - streamArn is used as it is (Java: only the name in it);
//   - shutdownGraceMillis is 5000 unless set (Java: 0, which makes a graceful stop impossible).
//
// Three keys are ours: onProcessorFailure = exit (default, what the Java daemon does) or restart; executableQuoting = true,
// which lets executableName hold quoted arguments; and unpacedReads = true, which polls as fast as the server answers, for
// servers without the limits of Kinesis.
package daemon
