package environment

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bookshelf/infra/observability/stack"
)

const someImage = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func from(values map[string]string) func(string) string {
	return func(key string) string { return values[key] }
}

func TestDefaultsMakeAWorkingConfiguration(t *testing.T) {
	t.Parallel()
	got, err := Load("dev", from(map[string]string{"image": someImage}))
	if err != nil {
		t.Fatal(err)
	}
	service, err := parseService("")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Name: "dev", Image: someImage,
		Bind: "127.0.0.1", Port: 8080, URL: "http://127.0.0.1:8080", Replicas: 1,
		TLS: TLS{Mode: TLSOff, Port: 8443, Directory: "https://acme-v02.api.letsencrypt.org/directory"},
		App: Limits{MemoryMiB: 128, CPUs: "1"}, Database: Limits{MemoryMiB: 512, CPUs: "1"}, Edge: Limits{MemoryMiB: 256, CPUs: "1"},
		ShutdownGrace: 2 * time.Second, LogLevel: "info", Verify: Verification{Mode: VerifyOff},
		Service: service, Release: json.RawMessage("{}"),
		Backup: Backup{
			Full: 168 * time.Hour, Diff: 24 * time.Hour, RetainFull: 2, RetainDiff: 7, Compress: "zst",
			Limits: Limits{MemoryMiB: 256, CPUs: "1"}, Repository: Repository{Type: RepositoryVolume},
		},
		Rotation: Rotation{Database: 90 * day},
		Watching: Watching{Level: stack.Off, Port: 9400, Retention: 168 * time.Hour, Images: map[string]string{}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(TLS{}, Repository{})); diff != "" {
		t.Error(diff)
	}
}

func TestEachBadValueIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, value, want string }{
		"an image with spaces":        {"image", "my image", "bookshelf:image"},
		"an address that is a name":   {"bind", "localhost", "an IP address"},
		"a port out of range":         {"port", "70000", "from 1 to 65535"},
		"a port with a unit":          {"port", "8080tcp", "from 1 to 65535"},
		"too little memory":           {"appMemoryMiB", "8", "from 32"},
		"no processor":                {"appCpus", "0", "from 0.1 on"},
		"a processor too exact":       {"databaseCpus", "0.05", "at most one decimal"},
		"a duration without a unit":   {"shutdownGrace", "5", "such as 2s"},
		"a negative duration":         {"shutdownGrace", "-1s", "from 0s"},
		"a level that does not exist": {"logLevel", "loud", "one of debug, info"},
		"too many replicas":           {"replicas", "17", "from 1 to 16"},
		"a URL with a path":           {"url", "http://here/api", "nothing behind"},
		"a way of TLS that is none":   {"tls", "on", "one of off, acme"},
		"certificates without a name": {"tls", "internal", "bookshelf:hosts is not set"},
		"a name without certificates": {"hosts", "books.example", "none, because tls is off"},
		"a name that is none":         {"hosts", "Books_Example", "host names"},
		"a directory without TLS":     {"acmeDirectory", "http://ca", "https://"},
		"a service with other words":  {"service", `{"version": "X-V"}`, `unknown field "version"`},
		"a service without a header":  {"service", `{"probe": {}}`, "version_header is missing"},
		"writes that can't go away":   {"service", `{"version_header": "X-V", "probe": {}, "written": "SELECT 1"}`, "go together"},
		"a credential for ever":       {"service", `{"version_header": "X-V", "probe": {}, "credential": {"issue": ["a"]}}`, "issue and revoke are both needed"},
		"a probe that is no object":   {"service", `{"version_header": "X-V", "probe": []}`, "probe: want an object"},
		"a variable that is a number": {"environment", `{"MAX_IN_FLIGHT": 7}`, "in quotes"},
		"a variable in small letters": {"environment", `{"auth": "off"}`, "in capitals"},
		"a release that is a word":    {"release", "fast", "want a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("dev", from(map[string]string{"image": someImage, test.key: test.value}))
			if err == nil || !strings.Contains(err.Error(), "bookshelf:") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error that names a key and says %q, have %v", test.want, err)
			}
		})
	}
}

func TestAStackGivesTheServiceVariablesBesideAndInsteadOfItsOwn(t *testing.T) {
	t.Parallel()
	config, err := Load("dev", from(map[string]string{
		"image": someImage, "service": `{"version_header": "X-V", "probe": {}, "environment": {"A": "1", "B": "2"}}`, "environment": `{"B": "3", "C": "4"}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "3", "C": "4"}, config.Service.Environment); diff != "" {
		t.Error(diff)
	}
}

func TestTheProbeLooksForTheServicesHeaderUnlessItNamesOneItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ service, want string }{
		"this repository's own":    {"", "X-Bookshelf-Version"},
		"named by the service":     {`{"version_header": "X-V", "probe": {"rate": 5}}`, "X-V"},
		"named by both, the same":  {`{"version_header": "X-V", "probe": {"rate": 5, "version_header": "X-V"}}`, "X-V"},
		"named by both, different": {`{"version_header": "X-V", "probe": {"rate": 5, "version_header": "X-Other"}}`, "X-Other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := Load("dev", from(map[string]string{"image": someImage, "service": test.service}))
			if err != nil {
				t.Fatal(err)
			}
			var probe struct {
				Rate          float64 `json:"rate"`
				VersionHeader string  `json:"version_header"`
			}
			if err := json.Unmarshal(config.Service.Probe, &probe); err != nil {
				t.Fatal(err)
			}
			if probe.VersionHeader != test.want || probe.Rate == 0 {
				t.Errorf("have %+v, want the header %s and the rest as it was", probe, test.want)
			}
		})
	}
}

func TestAPolicyIsCompleteAndAsksForADigest(t *testing.T) {
	t.Parallel()
	pinned := "registry.example/bookshelf@" + someImage
	for name, test := range map[string]struct {
		values map[string]string
		want   string // "" is a valid configuration
	}{
		"a key":                      {map[string]string{"image": pinned, "verify": "key", "verifyKey": "cosign.pub"}, ""},
		"an identity":                {map[string]string{"image": pinned, "verify": "keyless", "verifyIdentity": "a", "verifyIssuer": "b"}, ""},
		"a policy that is not known": {map[string]string{"image": pinned, "verify": "on"}, `bookshelf:verify = "on": want one of off, key, keyless`},
		"a key that is missing":      {map[string]string{"image": pinned, "verify": "key"}, "bookshelf:verifyKey is not set"},
		"an identity without issuer": {map[string]string{"image": pinned, "verify": "keyless", "verifyIdentity": "a"}, "bookshelf:verifyIssuer is not set"},
		"an issuer without identity": {map[string]string{"image": pinned, "verify": "keyless", "verifyIssuer": "b"}, "bookshelf:verifyIdentity is not set"},
		"a key that has no effect":   {map[string]string{"image": pinned, "verifyKey": "cosign.pub"}, "want none, because verify is off"},
		"a local image":              {map[string]string{"image": someImage, "verify": "key", "verifyKey": "cosign.pub"}, "want NAME@sha256:…"},
		"a tag":                      {map[string]string{"image": "bookshelf:1", "verify": "key", "verifyKey": "cosign.pub"}, "want NAME@sha256:…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("prod", from(test.values))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load("Dev_1", from(map[string]string{"port": "x", "bind": "y"}))
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"Dev_1", "bookshelf:port", "bookshelf:bind"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}
}

func TestProcessorsAreWrittenAsTheProviderReadsThemBack(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"1": "1.0", "2.0": "2.0", "0.5": "0.5", "16": "16.0", "10": "10.", "100": "100.", "10.5": "10.5"} {
		if got := canonicalCPUs(given); got != want {
			t.Errorf("canonicalCPUs(%q) = %q, want %q", given, got, want)
		}
	}
}
