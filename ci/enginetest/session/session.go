// Package session pretends that the process runs inside an engine's session. The generated client looks for one while it
// is initialised, before any test can say something, so this package opens a listener while *it* is initialised and puts its
// port where the client looks.
//
// That this happens first is certain: Go initialises packages in the order of their paths, each as soon as its imports are.
// This one imports next to nothing; the client imports net/http.
package session

import (
	"net"
	"os"
	"strconv"
)

const (
	portVariable  = "DAGGER_SESSION_PORT"
	tokenVariable = "DAGGER_SESSION_TOKEN"
)

// Listener is where the client will connect.
var Listener net.Listener

// Err is why there is no listener.
var Err error

var before = map[string]*string{}

func init() {
	Listener, Err = net.Listen("tcp", "127.0.0.1:0")
	if Err != nil {
		return
	}
	port := Listener.Addr().(*net.TCPAddr).Port
	for name, value := range map[string]string{portVariable: strconv.Itoa(port), tokenVariable: "recorder"} {
		if old, ok := os.LookupEnv(name); ok {
			before[name] = &old
		}
		// A name without "=" and a value without NUL: it cannot fail.
		_ = os.Setenv(name, value)
	}
}

// Restore puts the environment back as it was, for a test that connects to a real engine.
func Restore() error {
	for _, name := range []string{portVariable, tokenVariable} {
		old := before[name]
		if old == nil {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
			continue
		}
		if err := os.Setenv(name, *old); err != nil {
			return err
		}
	}
	return nil
}
