package database

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether err comes from the way to the server, or from a server that cannot work right now. A wrong
// password counts as well: during a rotation the login and the file change one after the other.
func Unavailable(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && unavailableCode(pgErr.Code) {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok { // the password's file
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// unavailableCode knows the SQLSTATE codes that say so: connection exceptions (08), insufficient resources (53), operator
// intervention (57, such as a shutdown, a fail-over or a cancelled statement), and a server that has become read-only
// (25006), which a standby is until it is promoted.
func unavailableCode(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57") || code == "25006"
}
