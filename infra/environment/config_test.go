package environment

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	want := Config{
		Name: "dev", Image: someImage, DatabaseImage: "postgres:17-trixie", Bind: "127.0.0.1", Port: 8080,
		App: Limits{MemoryMiB: 128, CPUs: "1"}, Database: Limits{MemoryMiB: 512, CPUs: "1"},
		ShutdownGrace: 2 * time.Second, LogLevel: "info", Verify: Verification{Mode: VerifyOff},
	}
	if diff := cmp.Diff(want, got); diff != "" {
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load("dev", from(map[string]string{"image": someImage, test.key: test.value}))
			if err == nil || !strings.Contains(err.Error(), "bookshelf:"+test.key) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error that names bookshelf:%s and says %q, have %v", test.key, test.want, err)
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
	for _, want := range []string{"Dev_1", "bookshelf:image is not set", "bookshelf:port", "bookshelf:bind"} {
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
