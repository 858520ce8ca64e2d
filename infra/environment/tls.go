package environment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// TLS says how the edge comes by its certificate.
type TLS struct {
	// Mode is TLSOff, TLSACME, TLSInternal or TLSFiles.
	Mode string
	// Port is where HTTPS is published on the Docker host; the port of HTTP then redirects to it.
	Port int
	// Hosts are the names that the certificate is for.
	Hosts []string
	// Directory is the URL of the ACME server's directory (RFC 8555), Email the account's contact, Roots the path of a PEM file with
	// the authorities that the server itself is trusted by; "" is those of the image.
	Directory, Email, Roots string
	// Cert and Key are the paths of PEM files.
	Cert, Key string

	// files is what the edge is given to read, by name.
	files map[string]string
}

// Modes of TLS.
const (
	TLSOff      = "off"
	TLSACME     = "acme"
	TLSInternal = "internal" // an authority of the edge's own, for development
	TLSFiles    = "files"
)

func (r *reader) tls() TLS {
	t := TLS{
		Mode: r.oneOf("tls", TLSOff, TLSACME, TLSInternal, TLSFiles), Port: r.number("httpsPort", 1, 65535), Hosts: r.hosts("hosts"),
		Directory: r.value("acmeDirectory"), Email: r.value("acmeEmail"), Roots: r.value("acmeRoots"),
		Cert: r.value("certFile"), Key: r.value("keyFile"),
	}
	r.belong("tls", t.Mode,
		setting{TLSACME, "acmeEmail", t.Email, false}, setting{TLSACME, "acmeRoots", t.Roots, false},
		setting{TLSFiles, "certFile", t.Cert, true}, setting{TLSFiles, "keyFile", t.Key, true})
	if !strings.HasPrefix(t.Directory, "https://") {
		r.invalid("acmeDirectory", t.Directory, "a URL that begins with https://")
	}
	switch {
	case t.Mode == TLSOff && len(t.Hosts) > 0:
		r.invalid("hosts", strings.Join(t.Hosts, ","), "none, because tls is off")
	case t.Mode != TLSOff && len(t.Hosts) == 0:
		r.problem("%s:hosts is not set: want the names that the certificate is for, because tls is %s", Namespace, t.Mode)
	}
	return t
}

// readFiles reads what the edge is given; relative paths are relative to dir.
func (t *TLS) readFiles(dir string) error {
	t.files = map[string]string{}
	var problems []error
	for _, file := range []struct{ key, name, path string }{
		{"certFile", "tls.crt", t.Cert}, {"keyFile", "tls.key", t.Key}, {"acmeRoots", "acme-roots.pem", t.Roots},
	} {
		if file.path == "" {
			continue
		}
		path := file.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%s: %w", Namespace, file.key, err))
			continue
		}
		t.files[file.name] = string(content)
	}
	return errors.Join(problems...)
}
