package images

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// product returns the image that others are made of, or skips the test, which fails where services are required.
func product(t *testing.T) string {
	t.Helper()
	base := os.Getenv("BOOKSHELF_IMAGE")
	switch {
	case base != "":
	case os.Getenv("REQUIRE_SERVICES") == "1":
		t.Fatal("BOOKSHELF_IMAGE is not set; `make test` provides it")
	default:
		t.Skip("BOOKSHELF_IMAGE is not set; `make test` provides it")
	}
	return base
}

// imageConfig is what an engine does with an image.
type imageConfig struct {
	User         string
	Entrypoint   []string
	Cmd          []string
	Env          []string
	Labels       map[string]string
	ExposedPorts map[string]struct{}
	Healthcheck  struct {
		Test                           []string
		Interval, Timeout, StartPeriod int64
		Retries                        int
	}
}

func inspect(t *testing.T, image string) imageConfig {
	t.Helper()
	var c imageConfig
	if err := json.Unmarshal([]byte(docker(t, nil, "image", "inspect", "--format", "{{json .Config}}", image)), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMadeImagesAreTheProductButForVersionAndFault(t *testing.T) {
	t.Parallel()
	base := product(t)
	want := inspect(t, base)
	for image, env := range map[string][]string{
		Product(t, base, "v7"):                                 nil,
		Faulty(t, base, "v7", "late", "BOOKD_FAULT_AFTER=20s"): {"BOOKD_FAULT=late", "BOOKD_FAULT_AFTER=20s"},
	} {
		got := inspect(t, image)
		for _, label := range []string{"org.opencontainers.image.version", "org.opencontainers.image.revision"} {
			if got.Labels[label] != "v7" {
				t.Errorf("the label %s is %q, want v7", label, got.Labels[label])
			}
			got.Labels[label] = want.Labels[label]
		}
		if have := slices.Concat(want.Env, env); !slices.Equal(got.Env, have) {
			t.Errorf("the environment is %q, want %q", got.Env, have)
		}
		got.Env = want.Env
		if a, b := mustJSON(t, got), mustJSON(t, want); !bytes.Equal(a, b) {
			t.Errorf("the image is %s, want %s", a, b)
		}
		if said := docker(t, nil, "run", "--rm", "--env", "BOOKD_FAULT=slow", image, "version"); !bytes.HasPrefix([]byte(said), []byte("bookd v7 (revision v7, ")) {
			t.Errorf("it calls itself %q", said)
		}
	}
}

func TestTheForeignServiceIsAnImageLikeTheProducts(t *testing.T) {
	t.Parallel()
	want := inspect(t, product(t))
	got := inspect(t, Foreign(t, "v7"))
	if said := docker(t, nil, "run", "--rm", "--read-only", Foreign(t, "v8"), "version"); said != "foreign v8 v8" {
		t.Errorf("it calls itself %q", said)
	}
	if got.Labels["org.opencontainers.image.version"] != "v7" || got.User != want.User || !slices.Equal(got.Cmd, want.Cmd) {
		t.Errorf("the image is %+v", got)
	}
	got.Healthcheck.Test = want.Healthcheck.Test // the binary's name differs
	if a, b := mustJSON(t, got.Healthcheck), mustJSON(t, want.Healthcheck); !bytes.Equal(a, b) {
		t.Errorf("its health check is %s, want %s", a, b)
	}
	if a, b := mustJSON(t, got.ExposedPorts), mustJSON(t, want.ExposedPorts); !bytes.Equal(a, b) {
		t.Errorf("its ports are %s, want %s", a, b)
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAVersionIsCompiledOnceForAllItsFaults(t *testing.T) {
	t.Parallel()
	product(t)
	first, second, other := productBinary(t, "v7", "faults"), productBinary(t, "v7", "faults"), productBinary(t, "v8", "faults")
	if &first[0] != &second[0] {
		t.Error("it was compiled again")
	}
	if bytes.Equal(first, other) {
		t.Error("two versions are one binary")
	}
	if plain := productBinary(t, "v7", ""); bytes.Contains(plain, []byte("BOOKD_FAULT")) || !bytes.Contains(first, []byte("BOOKD_FAULT")) {
		t.Error("the product has the faults, or a faulty version has none")
	}
}
