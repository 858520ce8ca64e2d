// Package gates tests from the outside that the gates judge as they should: with the real Trivy, govulncheck and cosign, against
// small databases that it writes itself and a registry on this machine. `make e2e-gates` runs all of it; `make test` runs that a
// scan is red for what it should be, and for nothing else, and passes over what takes more tools.
package gates
