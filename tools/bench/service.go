package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bookshelf/tools/internal/command"
)

// service is bookd, as it is delivered: with tokens, metrics and the log.
type service struct {
	binary, dir string
	db          *database
	cached      bool // with its read cache on

	cmd         *exec.Cmd
	addr, admin string
}

// environment is what every command of the service gets.
func (s *service) environment(role string) []string {
	return append(os.Environ(), "DB_HOST="+s.db.dir, "DB_NAME="+databaseName, "DB_USER="+role, "DB_SSLMODE=disable")
}

// command runs one to its end and returns what it prints.
func (s *service) command(ctx context.Context, role string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = s.environment(role)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bookd %s: %w: %s", args[0], err, command.Tail(stderr.String()+string(out), 5))
	}
	return strings.TrimSpace(string(out)), nil
}

// start begins to serve and returns how long it took until it was ready.
func (s *service) start(ctx context.Context) (time.Duration, error) {
	name, cache := "bookd.log", "off"
	if s.cached {
		name, cache = "bookd-cached.log", "on"
	}
	log, err := os.Create(filepath.Join(s.dir, name))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, "serve")
	s.cmd.Env = append(s.environment(servingRole), "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
		"SHUTDOWN_GRACE=0s", "AUTH=required", "READ_CACHE="+cache, "DB_MAX_CONNS="+strconv.Itoa(poolSize), "MAX_IN_FLIGHT=4096")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return 0, err
	}
	for ctx.Err() == nil && time.Since(began) < 30*time.Second {
		if s.addr, s.admin, err = announced(log.Name()); err == nil {
			if response, err := http.Get("http://" + s.addr + "/readyz"); err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return time.Since(began), nil
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	content, _ := os.ReadFile(log.Name())
	return 0, errors.Join(fmt.Errorf("bookd did not become ready: %s", command.Tail(string(content), 3)), ctx.Err(), s.stop())
}

// announced reads from the log where the service listens.
func announced(path string) (api, admin string, err error) {
	log, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct {
			API   string `json:"api_addr"`
			Admin string `json:"admin_addr"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.API != "" {
			return line.API, line.Admin, nil
		}
	}
	return "", "", errors.New("not yet")
}

func (s *service) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop bookd: %w", err)
	}
	return nil
}

// usage is what the service has used since it started.
type usage struct {
	cpu     float64 // seconds
	allocs  float64 // objects
	bytes   float64 // allocated, all in all
	peakRSS float64 // bytes
}

// usage reads the service's own metrics.
func (s *service) usage() (usage, error) {
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return usage{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return usage{}, err
	}
	var u usage
	for name, dst := range map[string]*float64{
		"process_cpu_seconds_total":          &u.cpu,
		"go_memstats_mallocs_total":          &u.allocs,
		"go_memstats_alloc_bytes_total":      &u.bytes,
		"process_resident_memory_peak_bytes": &u.peakRSS,
	} {
		match := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if match == nil {
			return usage{}, fmt.Errorf("the metric %s is missing", name)
		}
		if *dst, err = strconv.ParseFloat(string(match[1]), 64); err != nil {
			return usage{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return u, nil
}

// profile takes a CPU profile into a file while the service works.
func (s *service) profile(path string, seconds int) error {
	response, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin, seconds))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("take a profile: %s", content)
	}
	return os.WriteFile(path, content, 0o644)
}

// helper is one of the other halves of this program, in a process of its own.
func helper(ctx context.Context, half string, request, answer any) error {
	cmd, err := startHelper(ctx, half, request, answer)
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", half, err, command.Tail(cmd.Stderr.(*strings.Builder).String(), 5))
	}
	return nil
}

// startHelper starts it and reads the one JSON value that it prints.
func startHelper(ctx context.Context, half string, request, answer any) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	input, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, half)
	cmd.Stdin = strings.NewReader(string(input))
	cmd.Stderr = &strings.Builder{}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(stdout).Decode(answer); err != nil {
		err = errors.Join(err, cmd.Wait())
		return nil, fmt.Errorf("%s: %w: %s", half, err, command.Tail(cmd.Stderr.(*strings.Builder).String(), 5))
	}
	return cmd, nil
}
