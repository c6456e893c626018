// Package script runs tests that are written down as text: what happens, line by line, and the full output expected.
//
// A script is a file in testdata. A case is a command, input lines that are indented, a line of four hyphens, and the
// output up to a blank line:
//
//	# Comments and blank lines between cases stay as they are.
//	worker-dies b at=12s
//		any indented lines are input
//	----
//	shard-2: b -> a (take)
//
// Each file starts from nothing: [Run] asks for a new function that carries out its commands. With the flag -update the
// outputs are written into the files instead of compared; read the difference before you commit it.
//
// Output cannot hold a blank line, which ends a case; [Apply] says so rather than cutting it.
package script
