package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Parse reads a configuration from a JSON object. The error joins every problem there is, each naming its member; a member that is not
// known is one.
func Parse(text string) (Config, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return Config{}, fmt.Errorf("want a JSON object: %w", err)
	}
	o := object{members: members, problems: &problems{}}
	c := Config{Rate: 100, Fresh: 0.2, Timeout: 15 * time.Second, SlowFor: 5 * time.Second, EAN13Prefix: "9790"}
	o.take("rate", &c.Rate)
	o.take("fresh", &c.Fresh)
	o.take("timeout", &c.Timeout)
	o.take("slow_for", &c.SlowFor)
	o.take("version_header", &c.VersionHeader)
	o.take("ean13_prefix", &c.EAN13Prefix)
	o.take("root_ca", &c.RootCA)
	o.take("server_name", &c.ServerName)
	var reads []json.RawMessage
	o.take("read", &reads)
	for i, read := range reads {
		c.Read = append(c.Read, o.object(fmt.Sprintf("read[%d]", i), read).request(http.MethodGet))
	}
	c.Shares = Shares{Read: 1}
	if raw, ok := o.members["write"]; ok {
		write := o.child("write", raw).request(http.MethodPost)
		write.Key = write.key()
		c.Write = &write
		c.Shares = Shares{Read: 0.75, Write: 0.2, Slow: 0.05}
	}
	if raw, ok := o.members["shares"]; ok {
		c.Shares = o.child("shares", raw).shares()
	}
	o.end()
	if err := errors.Join(*o.problems...); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// key returns what the write is found by where the configuration does not say it.
func (r Request) key() string {
	for _, word := range []string{"{{ean13}}", "{{uuid}}"} {
		if r.Key == "" && strings.Contains(r.Body+r.Path, word) {
			return word
		}
	}
	return r.Key
}

// object is a JSON object whose members are taken one by one; what is wrong with them is collected.
type object struct {
	path     string
	members  map[string]json.RawMessage
	problems *problems
}

// child takes a member that is an object itself.
func (o *object) child(name string, raw json.RawMessage) *object {
	delete(o.members, name)
	return o.object(o.path+name, raw)
}

func (o *object) object(path string, raw json.RawMessage) *object {
	child := &object{path: path + ".", problems: o.problems}
	err := json.Unmarshal(raw, &child.members)
	o.problems.check(err == nil && child.members != nil, "%s: want an object", path)
	return child
}

func (o *object) request(method string) Request {
	r := Request{Method: method}
	o.take("method", &r.Method)
	o.take("path", &r.Path)
	o.take("status", &r.Status)
	o.take("headers", &r.Headers)
	o.take("body", &r.Body)
	o.take("content_type", &r.ContentType)
	o.take("key", &r.Key)
	o.end()
	return r
}

func (o *object) shares() Shares {
	var s Shares
	o.take("read", &s.Read)
	o.take("write", &s.Write)
	o.take("slow", &s.Slow)
	o.end()
	return s
}

// take reads a member into a variable, which keeps its value when the member is absent.
func (o *object) take(name string, into any) {
	raw, ok := o.members[name]
	if !ok {
		return
	}
	delete(o.members, name)
	var want string
	target := into
	switch into.(type) {
	case *float64:
		want = "a number"
	case *string:
		want = "a string"
	case *[]int:
		want = "a list of whole numbers"
	case *map[string]string:
		want = "an object whose members are strings"
	case *[]json.RawMessage:
		want = "a list"
	case *time.Duration:
		want, target = `a duration such as "5s"`, new(string)
	}
	err := json.Unmarshal(raw, target)
	if duration, ok := into.(*time.Duration); ok && err == nil {
		*duration, err = time.ParseDuration(*target.(*string))
	}
	o.problems.check(err == nil && string(raw) != "null", "%s%s = %s: want %s", o.path, name, raw, want)
}

// end complains about every member that was not taken.
func (o *object) end() {
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		o.problems.check(false, "%s%s is not known", o.path, name)
	}
}
