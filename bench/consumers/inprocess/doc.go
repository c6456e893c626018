// Command inprocess is the record processor of the comparisons in a process with the engine: it counts, and checkpoints
// after each batch. SIGTERM stops it as a deployment does.
package main
