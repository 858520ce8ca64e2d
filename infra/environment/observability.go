package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/observability"
	"bookshelf/infra/observability/stack"
)

// Watching is how an environment is watched.
type Watching struct {
	Level stack.Level
	// Port is the first of the stack's ports on loopback.
	Port      int
	Retention time.Duration
	// Images are those of the parts, where they are other than stack.Image says: deliver puts the IDs of local ones here.
	Images map[string]string
}

// watching reads the keys about it.
func (r *reader) watching(level, port, retention, images string) Watching {
	w := Watching{
		Level: stack.Level(r.oneOf(level, stack.Levels...)), Port: r.number(port, 1, 65535-stack.Ports),
		Retention: r.duration(retention, 10*365*24*time.Hour),
	}
	if w.Retention < time.Hour {
		r.invalid(retention, r.value(retention), "at least 1h, such as 168h")
	}
	if err := json.Unmarshal([]byte(r.value(images)), &w.Images); err != nil {
		r.problem("%s:%s: want a mapping of parts to images: %w", Namespace, images, err)
		return w
	}
	known, err := stack.Image(stack.Full)
	if err != nil {
		r.problem("%w", err)
	}
	for _, part := range sortedKeys(w.Images) {
		if known[part] == "" || !imagePattern.MatchString(w.Images[part]) {
			r.invalid(images, part+": "+w.Images[part], fmt.Sprintf("an image reference for one of %v", sortedKeys(known)))
		}
	}
	return w
}

// Watch lists the containers that watch the environment while its slots are these.
func (c Config) Watch(slots Slots) ([]stack.Part, error) {
	options := stack.Options{
		Environment: c.Name, Level: c.Watching.Level, Port: c.Watching.Port, Retention: c.Watching.Retention,
		AdminPort: AdminPort, EdgeMetrics: "edge:9090", EdgeURL: fmt.Sprintf("http://edge:%d/readyz", edgeHTTPPort),
	}
	if c.TLS.Mode != TLSOff {
		options.EdgeURL = fmt.Sprintf("https://edge:%d/readyz", edgeHTTPSPort)
	}
	var err error
	if options.Rules, err = texts(observability.Rules()); err != nil {
		return nil, err
	}
	if options.Dashboards, err = texts(observability.Vmui()); err != nil {
		return nil, err
	}
	serving := slots.Serving()
	for _, name := range sortedKeys(serving) {
		for n := 1; n <= serving[name].Replicas; n++ {
			options.Replicas = append(options.Replicas, stack.Replica{Host: Replica(name, n), Slot: name, Number: n})
		}
	}
	return stack.Parts(options)
}

// texts are the files of a folder by their names.
func texts(folder fs.FS) (map[string]string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, entry := range entries {
		content, err := fs.ReadFile(folder, entry.Name())
		if err != nil {
			return nil, err
		}
		found[entry.Name()] = string(content)
	}
	return found, nil
}

// Observability is what watches an environment: containers on networks of their own that also reach what they scrape.
type Observability struct {
	pulumi.ResourceState
	Watch, Engine *docker.Network
	Containers    []*docker.Container
}

// newObservability declares nothing where the environment is not watched. It comes after everything else, so that what is wrong with
// it keeps nobody from being served.
func (e *environment) newObservability(network *Network) error {
	parts, err := e.config.Watch(e.slots)
	if err != nil || len(parts) == 0 {
		return err
	}
	images, err := stack.Image(e.config.Watching.Level)
	if err != nil {
		return err
	}
	maps.Copy(images, e.config.Watching.Images)
	o := &Observability{}
	child, err := e.component("Observability", "observability", o)
	if err != nil {
		return err
	}
	// This one leads out: Docker publishes nothing of a container that is on internal networks alone, and alerts have to leave.
	if o.Watch, err = e.bridge(stack.Prefix+"pages", false, child); err != nil {
		return err
	}
	if o.Engine, err = e.bridge(stack.Prefix+"engine", true, child); err != nil {
		return err
	}
	w := watch{environment: e, child: child, images: images, networks: map[string]*docker.Network{
		stack.Watch: o.Watch, stack.Engine: o.Engine, stack.Frontend: network.Frontend,
	}}
	ready, err := w.prepare(parts)
	if err != nil {
		return err
	}
	for _, part := range parts {
		container, err := e.run(stack.Prefix+part.Name, w.container(part), child, ready)
		if err != nil {
			return fmt.Errorf("declare %s: %w", part.Name, err)
		}
		o.Containers = append(o.Containers, container)
	}
	return e.ctx.RegisterResourceOutputs(o, pulumi.Map{"level": pulumi.String(string(e.config.Watching.Level))})
}

// watch is what the parts share while they are declared.
type watch struct {
	*environment
	child        pulumi.ResourceOption
	images       map[string]string
	networks     map[string]*docker.Network
	files, keeps map[string]*docker.Volume
}

// prepare declares the volumes, and the task that puts the parts' files on them and gives each what it keeps to its user. The option
// that it returns orders the parts after that.
func (w *watch) prepare(parts []stack.Part) (pulumi.ResourceOption, error) {
	w.files, w.keeps = map[string]*docker.Volume{}, map[string]*docker.Volume{}
	task := container{
		component: stack.Prefix + "files", task: true, writableRoot: true, user: "0:0", capabilities: []string{"CHOWN"},
		image:      pulumi.String(w.config.DatabaseImage), // as for the secrets: one with a shell, that is there anyway
		entrypoint: []string{"sh", "-c", distributeScript},
		limits:     Limits{MemoryMiB: 64, CPUs: "1"},
	}
	mount := func(part stack.Part, kind string, files map[string]string) (*docker.Volume, error) {
		name := stack.Prefix + part.Name + "-" + kind
		v, err := w.newVolume(name, w.child)
		if err != nil {
			return nil, err
		}
		task.volumes = append(task.volumes, volume(v.Name, "/volumes/"+name, false))
		task.uploads = append(task.uploads, upload(name+".owner", pulumi.String(part.User)))
		if kind == "data" {
			task.uploads = append(task.uploads, upload(name+".whole", pulumi.String("yes"))) // an empty file cannot be uploaded
		}
		for _, file := range sortedKeys(files) {
			task.uploads = append(task.uploads, upload(name+"/"+file, pulumi.String(files[file])))
		}
		return v, nil
	}
	for _, part := range parts {
		var err error
		if files := filesOf(part); len(files) > 0 {
			if w.files[part.Name], err = mount(part, "files", files); err != nil {
				return nil, err
			}
		}
		if part.Keeps {
			if w.keeps[part.Name], err = mount(part, "data", nil); err != nil {
				return nil, err
			}
		}
	}
	filled, err := w.run(stack.Prefix+"files", task, w.child)
	if err != nil {
		return nil, fmt.Errorf("declare the distribution of configurations: %w", err)
	}
	return once(filled, "distribution of what watches"), nil
}

func filesOf(part stack.Part) map[string]string {
	all := map[string]string{}
	maps.Copy(all, part.Files)
	maps.Copy(all, part.Reloads)
	return all
}

func (w *watch) container(part stack.Part) container {
	env := maps.Clone(part.Env)
	if len(part.Files) > 0 {
		// The volume keeps its name, so this carries the change.
		env["CONFIGURATION"] = digest(part.Files)
	}
	c := container{
		component:  stack.Prefix + part.Name,
		image:      pulumi.String(w.images[part.Name]),
		entrypoint: part.Command,
		user:       part.User,
		env:        env,
		tmpfs:      map[string]string{"/tmp": "rw,noexec,nosuid,nodev,size=16m"},
		limits:     Limits{MemoryMiB: part.MemoryMiB, CPUs: part.CPUs},
		// These images have no health check in common; Up asks each part for itself.
		unchecked:  true,
		stopSignal: "SIGTERM", graceSeconds: 30,
	}
	if v := w.files[part.Name]; v != nil {
		c.volumes = append(c.volumes, volume(v.Name, stack.FilesPath, true))
	}
	if v := w.keeps[part.Name]; v != nil {
		c.volumes = append(c.volumes, volume(v.Name, stack.DataPath, false))
	}
	for _, m := range part.Mounts {
		c.volumes = append(c.volumes, docker.ContainerVolumeArgs{HostPath: pulumi.String(m.Host), ContainerPath: pulumi.String(m.Inside), ReadOnly: pulumi.Bool(true)})
	}
	for _, name := range part.Networks {
		c.networks = append(c.networks, on(w.networks[name], part.Name))
	}
	if part.Published != 0 {
		c.ports = docker.ContainerPortArray{docker.ContainerPortArgs{
			Internal: pulumi.Int(part.Port), External: pulumi.Int(part.Published), Ip: pulumi.String("127.0.0.1"), Protocol: pulumi.String("tcp"),
		}}
	}
	return c
}

// digest stands for files and their contents.
func digest(files map[string]string) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(files[name]), files[name])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
