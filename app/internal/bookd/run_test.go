package bookd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bookshelf/app/internal/bookimport"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		exit   int
		stdout string // part of the output
		err    string // part of the error, which is one line
	}{
		"nothing":                   {nil, 2, "", "no command given; bookd help lists them"},
		"an unknown command":        {[]string{"server"}, 2, "", `unknown command "server"; the commands are serve, migrate, import`},
		"a stray argument":          {[]string{"serve", "now"}, 2, "", `serve takes no arguments, got "now"`},
		"a flag that is none":       {[]string{"migrate", "--force"}, 2, "", `migrate takes no arguments, got "--force"`},
		"help":                      {[]string{"help"}, 0, "healthcheck  ask the serving process", ""},
		"the flag for help":         {[]string{"--help"}, 0, "Usage: bookd COMMAND", ""},
		"help of a command":         {[]string{"help", "serve"}, 0, "Usage: bookd serve", ""},
		"a command's flag for help": {[]string{"migrate", "-h"}, 0, "Usage: bookd migrate", ""},
		"help of nothing known":     {[]string{"help", "x"}, 2, "", `unknown command "x"`},
		"help of two commands":      {[]string{"help", "serve", "migrate"}, 2, "", "help takes one command, got 2"},
		"version":                   {[]string{"version"}, 0, "bookd dev (revision ", ""},
		"serve without environment": {[]string{"serve"}, 1, "", "DB_HOST: is required"},
		"migrate without it":        {[]string{"migrate"}, 1, "", "DB_HOST: is required"},
		"import without arguments":  {[]string{"import"}, 2, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := Run(t.Context(), test.args, environ{}.lookup, strings.NewReader(""), &stdout, &stderr)
			if got := ExitCode(err); got != test.exit {
				t.Errorf("exit code = %d (%v), want %d", got, err, test.exit)
			}
			if !strings.Contains(stdout.String(), test.stdout) || err != nil && stdout.Len() > 0 {
				t.Errorf("stdout = %q, want it to contain %q", stdout.String(), test.stdout)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error = %v, want it to contain %q", err, test.err)
			}
			if test.exit == 2 && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %v", err)
			}
		})
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	for _, cmd := range commands() {
		if !strings.HasPrefix(cmd.help, "Usage: bookd "+cmd.name) || !strings.Contains(cmd.help, "\nExample:\n") {
			t.Errorf("the help of %s lacks its usage or an example", cmd.name)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for want, err := range []error{
		nil,
		errors.Join(errors.New("a"), context.Canceled),
		&bookimport.UsageError{Err: errors.New("no file")},
	} {
		if got := ExitCode(err); got != want {
			t.Errorf("exit code of %v = %d, want %d", err, got, want)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, address string) error {
		t.Helper()
		env := environ{"HTTP_ADDR": address, "READY_TIMEOUT": "10s"}
		return Run(t.Context(), []string{"healthcheck"}, env.lookup, nil, io.Discard, io.Discard)
	}
	answering := func(t *testing.T, status int, body string) string {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/readyz" {
				t.Errorf("asked %s %s", r.Method, r.URL.Path)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	t.Run("passes when the process is ready", func(t *testing.T) {
		t.Parallel()
		if err := ask(t, answering(t, 200, "{}")); err != nil {
			t.Error(err)
		}
	})
	t.Run("asks on the loopback interface when the process listens on all", func(t *testing.T) {
		t.Parallel()
		_, port, err := net.SplitHostPort(answering(t, 200, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"", "0.0.0.0", "[::]"} {
			if err := ask(t, host+":"+port); err != nil {
				t.Errorf("host %q: %v", host, err)
			}
		}
	})
	t.Run("fails with the reason when it is not", func(t *testing.T) {
		t.Parallel()
		err := ask(t, answering(t, 503, `{"detail": "The service is shutting down."}`))
		if err == nil || err.Error() != "healthcheck: 503 Service Unavailable: The service is shutting down." || ExitCode(err) != 1 {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("fails when nothing listens", func(t *testing.T) {
		t.Parallel()
		if err := ask(t, "127.0.0.1:"+refusedPort(t)); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("fails when the answer does not come in time", func(t *testing.T) {
		t.Parallel()
		silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		env := environ{"HTTP_ADDR": silent.Addr().String(), "READY_TIMEOUT": "1ms"}
		err = Run(t.Context(), []string{"healthcheck"}, env.lookup, nil, io.Discard, io.Discard)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want that the deadline passed", err)
		}
	})
}
