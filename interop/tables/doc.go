// Package tables proves what our worker and command line do on lease tables that older versions of the Java KCL wrote.
package tables
