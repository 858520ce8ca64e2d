package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the program itself, in processes of its own: signals and exit codes are all that is
// left to test here.
func TestMain(m *testing.M) {
	if os.Getenv("BOOKD_TEST_PROGRAM") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only a failing test takes so long
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = []string{
		"BOOKD_TEST_PROGRAM=1", "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
		"DB_HOST=127.0.0.1", "DB_NAME=none", "DB_USER=none", // serving starts without a database
		"SHUTDOWN_GRACE=1h", "SHUTDOWN_TIMEOUT=2h",
		"GOCOVERDIR=" + t.TempDir(), // built for coverage, a program without one complains on standard error
	}
	return cmd
}

func TestExitStatusAndMessage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"version": {0, ""},
		"nonsense": {2, "bookd: unknown command \"nonsense\"; " +
			"the commands are serve, migrate, import, token, healthcheck, version, help\n"},
		"healthcheck": {1, "bookd: healthcheck: dial tcp 127.0.0.1:0: connect: connection refused\n"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, args)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				t.Fatal(err)
			} else if code := cmd.ProcessState.ExitCode(); code != want.code || stderr.String() != want.stderr {
				t.Errorf("exit status %d (%v), stderr %q, want %d and %q", code, exit, stderr.String(), want.code, want.stderr)
			}
		})
	}
}

// serving starts the program and returns its log from the line "serving" on.
func serving(t *testing.T, change ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := program(t, "serve")
	cmd.Env = append(cmd.Env, change...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stdout)
	waitFor(t, log, "serving")
	return cmd, log
}

func waitFor(t *testing.T, log *bufio.Scanner, msg string) {
	t.Helper()
	for log.Scan() {
		if strings.Contains(log.Text(), `"msg":"`+msg+`"`) {
			return
		}
	}
	t.Fatalf("the log ends without %q", msg)
}

func TestSignalsEndTheProgramInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd, log := serving(t, "SHUTDOWN_GRACE=0s")
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			waitFor(t, log, "stopped")
			if err := cmd.Wait(); err != nil {
				t.Errorf("exit: %v, want status 0", err)
			}
		})
	}
}

func TestSecondSignalEndsTheProgramAtOnce(t *testing.T) {
	t.Parallel()
	cmd, log := serving(t)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, log, "shutdown begins")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait() // the grace is an hour: this ends only by the signal
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("exit: %v, want an end by SIGTERM", err)
	}
}

func TestSocketDirectoryIsAHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket, err := net.Listen("unix", dir+"/.s.PGSQL.5432")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := socket.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	t.Cleanup(func() { socket.Close() })
	cmd := program(t, "migrate")
	cmd.Env = append(cmd.Env, "DB_HOST="+dir)
	if err := cmd.Run(); err == nil {
		t.Error("migrate succeeds without PostgreSQL")
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}
