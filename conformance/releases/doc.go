// Package releases tries releases as an operator and a client meet them: the deliver command on the real Pulumi and Docker engines, with
// good versions, with one of every kind of bad ones, with a service that this repository knows nothing of, and with everything killed
// that can be killed. What it asserts is what the reports say and what is on the engine afterwards: how many requests were lost.
//
// A short form runs in `make test`. `make e2e` sets E2E=full and runs all of it.
package releases
