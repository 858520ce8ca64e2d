// Package compose writes Caddy's configuration from the settings. It is plain JSON as Caddy documents it
// (https://caddyserver.com/docs/json/); nothing ever changes it while the edge runs, because a reload drops the connections
// that clients keep.
package compose

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"bookshelf/edge/internal/settings"
)

// object is a JSON object, list a JSON list.
type (
	object = map[string]any
	list   = []any
)

// Limits of connections. The upstream's idle time-out is below what docs/contract.md asks of a service, so it is always the
// edge that closes an idle connection, and never a replica at the moment a request is written to it.
const (
	upstreamIdle  = 30 * time.Second
	clientIdle    = 5 * time.Minute
	readHeader    = 10 * time.Second
	maxHeader     = 64 << 10 // bytes
	dialTimeout   = 2 * time.Second
	retryInterval = 50 * time.Millisecond
	hsts          = "max-age=31536000"
)

// untrusted are headers in which other proxies speak of a client. Nobody stands before the edge, so a client made them up.
// Caddy replaces X-Forwarded-For, -Proto and -Host.
var untrusted = list{"Forwarded", "Via", "X-Real-Ip", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "Delivery-Slot"}

// Config returns the whole configuration.
func Config(s settings.Settings) ([]byte, error) {
	servers := object{"metrics": metrics(s)}
	if s.TLS == settings.TLSOff {
		servers["http"] = server(s, s.HTTPAddr, list{"h1", "h2c"}, proxy(s)...)
	} else {
		servers["http"] = server(s, s.HTTPAddr, list{"h1"}, redirect(s)...)
		https := server(s, s.HTTPSAddr, list{"h1", "h2", "h3"}, proxy(s)...)
		policy := object{"protocol_min": "tls1.2"} // Caddy's own list of ciphers has modern ones only
		if len(s.Hosts) > 0 {
			policy["default_sni"] = s.Hosts[0]
		}
		https["tls_connection_policies"] = list{policy}
		https["allow_0rtt"] = false // early data can be replayed, and with it a request
		servers["https"] = https
	}
	apps := object{
		"http": object{
			"http_port":    s.HTTPPort(),
			"grace_period": s.Grace.String(),
			"metrics":      object{},
			"servers":      servers,
		},
		"tls": certificates(s),
	}
	if s.TLS == settings.TLSInternal {
		apps["pki"] = object{"certificate_authorities": object{"local": object{"name": "Edge", "install_trust": false}}}
	}
	text, err := json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": logging(s),
		"storage": object{"module": "file_system", "root": filepath.Join(s.Data, "caddy")},
		"apps":    apps,
	})
	if err != nil {
		return nil, fmt.Errorf("compose Caddy's configuration: %w", err)
	}
	return text, nil
}

// server is one listener and what it answers with. Certificates are asked for in one place, so none of Caddy's automatisms.
func server(s settings.Settings, address string, protocols list, handlers ...any) object {
	one := object{
		"listen":              list{address},
		"protocols":           protocols,
		"automatic_https":     object{"disable": true},
		"idle_timeout":        clientIdle.String(),
		"read_header_timeout": readHeader.String(),
		"max_header_bytes":    maxHeader,
		"routes":              list{object{"handle": handlers}},
	}
	if s.AccessLog {
		one["logs"] = object{}
	}
	return one
}

// proxy sends everything to the slots. The outermost handler takes Caddy's name out of every answer, the edge's own included.
func proxy(s settings.Settings) list {
	answer := object{"deferred": true, "delete": list{"Server", "Via"}}
	if s.TLS != settings.TLSOff {
		answer["set"] = object{
			"Strict-Transport-Security": list{hsts},
			"Alt-Svc":                   list{fmt.Sprintf(`h3=":%d"; ma=86400`, s.HTTPSPort)}, // the port that clients see
		}
	}
	return list{
		object{"handler": "headers", "response": answer},
		object{"handler": "slots", "retry_after": s.RetryFor.String(), "hosts": s.Hosts},
		object{
			"handler": "reverse_proxy",
			"transport": object{
				"protocol":     "slots",
				"dial_timeout": dialTimeout.String(),
				"compression":  false, // a client that wants it asks the service
				"versions":     list{"1.1"},
				"keep_alive":   object{"idle_timeout": upstreamIdle.String(), "max_idle_conns_per_host": 256},
			},
			"load_balancing": object{
				"selection_policy": object{"policy": "slots"},
				"try_duration":     s.RetryFor.String(),
				"try_interval":     retryInterval.String(),
			},
			"headers": object{"request": object{"delete": untrusted}},
		},
	}
}

// redirect sends plain HTTP to HTTPS. 308 keeps method and body (RFC 9110). Caddy answers ACME's challenges before.
func redirect(s settings.Settings) list {
	host := "{http.request.host}"
	if s.HTTPSPort != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(s.HTTPSPort))
	}
	return list{
		object{"handler": "headers", "response": object{"delete": list{"Server"}}},
		object{
			"handler":     "static_response",
			"status_code": 308,
			"headers":     object{"Location": list{"https://" + host + "{http.request.uri}"}},
		},
	}
}

// metrics is a listener with one path.
func metrics(s settings.Settings) object {
	one := server(s, s.MetricsAddr, list{"h1"})
	one["routes"] = list{
		object{"match": list{object{"path": list{"/metrics"}}}, "handle": list{object{"handler": "metrics"}}, "terminal": true},
		object{"handle": list{object{"handler": "static_response", "status_code": 404}}},
	}
	delete(one, "logs") // not a client's
	return one
}

// certificates says where they come from.
func certificates(s settings.Settings) object {
	var issuer object
	switch s.TLS {
	case settings.TLSFiles:
		return object{"certificates": object{"load_files": list{object{"certificate": s.CertFile, "key": s.KeyFile}}}}
	case settings.TLSInternal:
		issuer = object{"module": "internal", "ca": "local"}
	case settings.TLSACME:
		issuer = object{
			"module": "acme",
			"ca":     s.ACMEDirectory,
			"email":  s.ACMEEmail,
			// The plain port has to be reachable anyway, for the redirect, so one kind of challenge will do.
			"challenges": object{"http": object{"alternate_port": s.HTTPPort()}, "tls-alpn": object{"disabled": true}},
		}
		if s.ACMERoots != "" {
			issuer["trusted_roots_pem_files"] = list{s.ACMERoots}
		}
	default:
		return object{}
	}
	return object{
		"certificates": object{"automate": s.Hosts},
		"automation": object{
			"policies":       list{object{"subjects": s.Hosts, "issuers": list{issuer}}},
			"renew_interval": s.RenewCheck.String(),
		},
	}
}

// logging puts the edge's log on the error output and, if there is one, the access log on the standard output.
func logging(s settings.Settings) object {
	encoder := object{"format": "json"}
	logs := object{"default": object{
		"writer": object{"output": "stderr"}, "encoder": encoder, "level": "INFO", "exclude": list{"http.log.access"},
	}}
	if s.AccessLog {
		logs["access"] = object{
			"writer": object{"output": "stdout"}, "encoder": encoder, "include": list{"http.log.access"},
		}
	}
	return object{"logs": logs}
}
