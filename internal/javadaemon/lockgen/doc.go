// Command lockgen writes the lock of package javadaemon: it has Maven resolve a POM, and takes down what each jar is.
//
//	go run ./internal/javadaemon/lockgen -pom pom.xml -out closure.lock
//
// The result depends on the POM alone, as far as published jars never change: Maven resolves in a fixed order, its plugin is
// pinned, and no time or path is written. Whoever wants another version of the daemon than ours makes a lock of it this way,
// and gives it to kcl java -lock.
package main
