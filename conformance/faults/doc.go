// Package faults breaks what the service stands on, under load, and writes down what its clients saw: the database is killed, paused,
// cut off, out of disk or of connections, on a slow disk, with a clock that goes back, with a schema of a later version.
//
// What it asserts holds on any machine: every request gets an answer, every answer is a good one or says "later" (503 with Retry-After),
// every acknowledged write is there afterwards, once, and the service recovers by itself. How many, how long: that is printed.
//
// A short form runs in `make test`. `make e2e-faults` sets E2E=full and runs all of it.
package faults
