// Package gates tests from the outside that the gates judge as they should: with the real Trivy, govulncheck and cosign, against
// small databases that it writes itself and a registry on this machine. `make e2e-gates` runs it; the tools take minutes to build,
// so `make test` passes it over.
package gates
