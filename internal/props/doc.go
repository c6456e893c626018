// Package props reads Java .properties text into keys and values that remember their lines.
//
// The format is that of java.util.Properties.load: ISO-8859-1 bytes with \uXXXX escapes, comments that begin with # or !, a key
// ended by =, : or white space, and lines continued by a backslash, with the white space at the beginning of the next line
// dropped. Leading white space of a value is dropped, trailing white space is kept: Java keeps it too, and whether it is meant
// is for the caller to say.
//
// It is our own because no maintained Go library tells the line of each key, and without it a misspelt setting cannot be
// pointed at.
package props
