// Package pgbackrest runs pgBackRest and reads what it answers. Its configuration is a file that PGBACKREST_CONFIG names; nothing secret
// is ever on a command line.
package pgbackrest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Tool is pgBackRest for one stanza.
type Tool struct {
	Stanza string
	// Log is given what it says while it works.
	Log io.Writer
}

// Backup is one backup in the repository.
type Backup struct {
	Label string
	Type  string // full, diff or incr
	// Started and Stopped are when it began and ended; StartWAL and StopWAL what is needed at least to make it consistent.
	Started, Stopped  time.Time
	StartWAL, StopWAL string
	// Size is how many bytes the database had, Stored how many the backup added to the repository.
	Size, Stored int64
	// Faulty says that pages with wrong checksums were found when it was taken.
	Faulty      bool
	Annotations map[string]string
}

// Error is a command that failed, with what it said.
type Error struct {
	Command  string
	ExitCode int
	Said     string
}

func (e *Error) Error() string {
	return fmt.Sprintf("pgbackrest %s ended with exit code %d: %s", e.Command, e.ExitCode, e.Said)
}

// Run runs a command and returns its standard output.
func (t Tool) Run(ctx context.Context, command string, arguments ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "pgbackrest", append([]string{"--stanza=" + t.Stanza, command}, arguments...)...)
	// Asked to stop, it releases its locks and leaves a repository that is whole.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&complaint, t.Log)
	err := cmd.Run()
	if cmd.ProcessState != nil && !cmd.ProcessState.Success() {
		said := complaint.String()
		if strings.TrimSpace(said) == "" {
			said = out.String()
		}
		return out.Bytes(), &Error{command, cmd.ProcessState.ExitCode(), tail(strings.TrimSpace(said), 1000)}
	}
	if err != nil {
		return nil, fmt.Errorf("run pgbackrest: %w", err)
	}
	return out.Bytes(), nil
}

func tail(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

// Backups lists the backups that the repository holds, the oldest first; none where the stanza is not there yet.
func (t Tool) Backups(ctx context.Context) ([]Backup, error) {
	out, err := t.Run(ctx, "info", "--output=json")
	if err != nil {
		return nil, err
	}
	return parse(out)
}

// otherProblem is the status of a repository that is there and cannot be read, unlike one that has no backup yet.
const otherProblem = 99

// printable replaces control characters: with the wrong key, pgBackRest quotes what it takes for text.
func printable(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func parse(out []byte) ([]Backup, error) {
	var stanzas []struct {
		Repo []struct {
			Status struct {
				Code    int
				Message string
			}
		}
		Backup []struct {
			Label      string
			Type       string
			Error      bool
			Annotation map[string]string
			Timestamp  struct{ Start, Stop int64 }
			Archive    struct{ Start, Stop string }
			Info       struct {
				Size       int64
				Repository struct{ Delta int64 }
			}
		}
	}
	if err := json.Unmarshal(printable(out), &stanzas); err != nil {
		return nil, fmt.Errorf("read what pgbackrest info says: %w", err)
	}
	var backups []Backup
	for _, stanza := range stanzas {
		for _, repo := range stanza.Repo {
			if problem := repo.Status.Message; repo.Status.Code == otherProblem {
				if strings.Contains(problem, "FormatError") || strings.Contains(problem, "CryptoError") {
					problem = "is the key the right one? " + problem
				}
				return nil, fmt.Errorf("the repository cannot be read: %.600s", strings.Join(strings.Fields(problem), " "))
			}
		}
		for _, b := range stanza.Backup {
			backups = append(backups, Backup{
				Label: b.Label, Type: b.Type, Faulty: b.Error, Annotations: b.Annotation,
				Started: time.Unix(b.Timestamp.Start, 0).UTC(), Stopped: time.Unix(b.Timestamp.Stop, 0).UTC(),
				StartWAL: b.Archive.Start, StopWAL: b.Archive.Stop, Size: b.Info.Size, Stored: b.Info.Repository.Delta,
			})
		}
	}
	return backups, nil
}

// Size is how many bytes the repository takes.
func (t Tool) Size(ctx context.Context) (int64, error) {
	out, err := t.Run(ctx, "repo-ls", "--recurse", "--output=json")
	if err != nil {
		return 0, err
	}
	var files map[string]struct{ Size int64 }
	if err := json.Unmarshal(out, &files); err != nil {
		return 0, fmt.Errorf("read what pgbackrest repo-ls says: %w", err)
	}
	var total int64
	for _, file := range files {
		total += file.Size
	}
	return total, nil
}
