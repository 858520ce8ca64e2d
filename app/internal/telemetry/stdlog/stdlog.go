// Package stdlog silences the standard library's global logger. The service does not use it, but the metrics library
// does, in its package initialisation: on hosts without pressure information in cgroups it prints a line of plain text
// before main begins, for every command.
//
// Silencing has to come first, and does: since Go 1.21 packages are initialised in the order of their import paths as far
// as their dependencies allow (Go specification, "Program initialization"), and this path sorts before github.com.
package stdlog

import (
	"io"
	"log"
)

func init() { log.SetOutput(io.Discard) }
