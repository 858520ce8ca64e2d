//go:build race

package main

// raceFactor is how much more memory and time a program takes that is built to find data races.
const raceFactor = 10
