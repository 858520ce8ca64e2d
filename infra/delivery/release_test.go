package delivery

import (
	"testing"

	"bookshelf/infra/environment"
	"bookshelf/infra/release/probe"
)

func TestTheProbeOfTheServiceIsComplete(t *testing.T) {
	t.Parallel()
	for name, service := range map[string]string{
		"this repository's own":              "",
		"another that names its header once": `{"version_header": "X-V", "probe": {"read": [{"path": "/", "status": [200]}]}}`,
	} {
		config, err := environment.Load("dev", func(key string) string { return map[string]string{"service": service}[key] })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := probe.Parse(string(config.Service.Probe)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
