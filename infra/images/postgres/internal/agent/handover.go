package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// pushLimit is how long PostgreSQL waits for one segment to be in the repository before it takes that for a failure and tries again.
const pushLimit = 5 * time.Minute

// segment is what PostgreSQL calls the files that it archives: segments, partial ones, the histories of timelines, and the labels of backups.
var segment = regexp.MustCompile(`^(?:[0-9A-F]{24}(?:\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history)$`)

// push is PostgreSQL's archive_command: it asks the agent to carry a file over, and succeeds only when that is in the repository.
// The database's container holds neither the repository nor its key.
func push(ctx context.Context, sockets, path string) error {
	ctx, cancel := context.WithTimeout(ctx, pushLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", handover(sockets))
	if err != nil {
		return fmt.Errorf("the backup container does not answer: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, filepath.Base(path)); err != nil {
		return fmt.Errorf("hand %s over: %w", filepath.Base(path), err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait for %s to be archived: %w", filepath.Base(path), err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return errors.New(answer)
	}
	return nil
}

// receiver carries over what PostgreSQL hands over, one file after the other.
type receiver struct {
	carry func(ctx context.Context, name string) error
	turn  sync.Mutex
}

// listen makes the socket anew: one that a killed agent left answers nobody.
func listen(sockets string) (net.Listener, error) {
	path := handover(sockets)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for WAL segments: %w", err)
	}
	return listener, os.Chmod(path, 0o600)
}

func (r *receiver) serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listen for WAL segments: %w", err)
		}
		group.Go(func() { r.answer(ctx, conn) })
	}
}

// answer carries one file over and says how that went. PostgreSQL tries again after anything but an ok.
func (r *receiver) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return // whoever it was has gone
	}
	name := strings.TrimSpace(line)
	if !segment.MatchString(name) {
		fmt.Fprintf(conn, "%.100q is no file of the write-ahead log\n", name)
		return
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if err := r.carry(ctx, name); err != nil {
		fmt.Fprintln(conn, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Fprintln(conn, "ok")
}
