package layers

// module is the path of the module under test.
const module = "github.com/hookswitch/hookswitch"

// A row gives the packages that match a pattern their place.
//
// A pattern is a path below the module; a segment "*" matches one of any name,
// and "/..." at the end whatever is below. What matched up to there is the
// part: packages of one part may import each other. Parts import only parts of
// lower layers, so those of one layer do not know each other: they declare the
// interface that they need, and package sidecar brings them together.
type row struct {
	pattern string
	layer   int

	// stdOnly packages import the standard library and lower layers, so that
	// whoever imports them gets nothing else.
	stdOnly bool

	// public packages import of this module only what a stranger's code could
	// import as well: they are what people copy.
	public bool

	// testsUse are parts of the same layer that its tests, and only they, may
	// import.
	testsUse []string
}

// Layers of packages beside the others.
const (
	// aside: the whole sidecar may import it; it imports only layers 0 and 10.
	aside = -1
	// testOnly: only test files import it, and it may import all but programs.
	testOnly = -2
)

// table is the order of the module, top to bottom. Layers are numbered by tens,
// so that a part can have an order of its own within.
var table = []row{
	// 60: programs, which nothing imports.
	{pattern: "sidecar/cmd/*/...", layer: program},
	{pattern: "plugins/hookswitch-plugin-*/...", layer: program, public: true},
	{pattern: "examples/*/...", layer: program, public: true},

	// 50: composition.
	{pattern: "sidecar", layer: 50},

	// 45: the settings, which are checked by the parts that they are for; and what
	// keeps the files of a running sidecar.
	{pattern: "sidecar/internal/config", layer: 45},
	{pattern: "sidecar/internal/upkeep", layer: 45},

	// 40: faces and loops.
	{pattern: "sidecar/internal/accept/...", layer: 40},
	{pattern: "sidecar/internal/dispatch/...", layer: 40},
	{pattern: "sidecar/internal/deliveryapi/...", layer: 40},
	{pattern: "sidecar/internal/adminapi/...", layer: 40},
	{pattern: "sidecar/internal/backup", layer: 40},
	{pattern: "sidecar/internal/replay/...", layer: 40},
	{pattern: "sidecar/internal/retention/...", layer: 40},
	{pattern: "sidecar/internal/plugincheck", layer: 40},
	{pattern: "sidecar/internal/lint", layer: 40, stdOnly: true},
	{pattern: "sidecar/internal/appcheck", layer: 40},

	// 30: targets.
	{pattern: "sidecar/internal/forward/...", layer: 30},
	{pattern: "sidecar/internal/pluginhost", layer: 30, testsUse: []string{"plugins/sdk"}}, // they run plugins
	{pattern: "plugins/sdk/...", layer: 30},

	// 26 and 24: what the plugin host is made of.
	{pattern: "sidecar/internal/pluginhost/process", layer: 26},
	{pattern: "sidecar/internal/pluginhost/link", layer: 24},
	{pattern: "sidecar/internal/pluginhost/catalog", layer: 24},

	// 20: state. The contract of stores stays free of what implements it.
	{pattern: "sidecar/internal/store", layer: 20, stdOnly: true},
	{pattern: "sidecar/internal/store/...", layer: 20},
	{pattern: "sidecar/internal/live", layer: 20, stdOnly: true},
	{pattern: "internal/pluginpb/...", layer: 20},

	// 10 and 0: what everybody imports.
	{pattern: "sidecar/internal/delivery", layer: 10, stdOnly: true},
	{pattern: "middleware/webhook/fastverify", layer: 12},
	{pattern: "middleware/webhook/...", layer: 10, stdOnly: true},
	{pattern: "middleware/event/...", layer: 0, stdOnly: true},

	{pattern: "sidecar/internal/telemetry/...", layer: aside},
	{pattern: "sidecar/internal/certificate", layer: aside},
	{pattern: "sidecar/internal/clock", layer: aside},
	{pattern: "sidecar/internal/dirlock", layer: aside},
	{pattern: "sidecar/internal/instance", layer: aside},
	{pattern: "sidecar/internal/keyfile", layer: aside, stdOnly: true},
	{pattern: "sidecar/internal/listen", layer: aside},
	{pattern: "sidecar/internal/rolling", layer: aside, stdOnly: true},
	{pattern: "sidecar/internal/sdnotify", layer: aside},
	{pattern: "sidecar/internal/spelling", layer: aside, stdOnly: true},
	{pattern: "sidecar/internal/untrusted", layer: aside, stdOnly: true},
	{pattern: "internal/durable", layer: aside, stdOnly: true},
	{pattern: "internal/testkit/...", layer: testOnly},
	{pattern: "sidecar/internal/simulation", layer: testOnly}, // of the sidecar, so it cannot be in the test kit
	{pattern: "internal/layers", layer: testOnly, stdOnly: true},
}

const program = 60

// A ban forbids imports that the order of layers would allow.
type ban struct {
	from []string // patterns of packages
	to   string   // a pattern of packages of this module
	why  string
}

var bans = []ban{
	{
		from: []string{"sidecar/internal/forward/...", "sidecar/internal/pluginhost/...", "sidecar/internal/plugincheck/..."},
		to:   "sidecar/internal/store/...",
		why:  "a target is handed deliveries and does not know how they are stored",
	},
	{
		from: []string{"sidecar/internal/plugincheck"},
		to:   "sidecar/internal/pluginhost",
		why:  "a check starts a plugin by process.Launcher, as a host does, and needs no host",
	},
}

// homes says which packages may import a dependency outside of tests. A
// dependency with few homes can be replaced; one that is not here has not yet
// been decided on.
var homes = map[string][]string{
	"github.com/hashicorp/go-plugin": {"sidecar/internal/pluginhost/process", "plugins/sdk/...", "internal/testkit/plugins"},
	"github.com/hashicorp/go-hclog":  {"sidecar/internal/pluginhost/process", "plugins/sdk/..."},
	"google.golang.org/grpc":         {"internal/pluginpb/...", "sidecar/internal/pluginhost/...", "sidecar/internal/plugincheck", "plugins/sdk/...", "internal/testkit/plugins"},
	"google.golang.org/protobuf":     {"internal/pluginpb/...", "sidecar/internal/pluginhost/...", "sidecar/internal/plugincheck", "plugins/sdk/...", "internal/testkit/plugins"},
	"github.com/fsnotify/fsnotify":   {"sidecar/internal/pluginhost"},

	"github.com/nats-io/nats.go": {"plugins/hookswitch-plugin-nats"},

	"modernc.org/sqlite":      {"sidecar/internal/store/sqlite/...", "internal/testkit/faultvfs"},
	"modernc.org/libc":        {"internal/testkit/faultvfs"},
	"github.com/jackc/pgx":    {"sidecar/internal/store/postgres/...", "internal/testkit/pgtest"},
	"github.com/google/uuid":  {"sidecar/..."},
	"golang.org/x/sys":        {"sidecar/..."},
	"filippo.io/edwards25519": {"middleware/webhook/fastverify"},
	"github.com/caarlos0/env": {"sidecar/internal/config"},

	"github.com/urfave/cli":      {"sidecar/cmd/hookswitch"},
	"github.com/mattn/go-isatty": {"sidecar/cmd/hookswitch"},

	"github.com/prometheus/client_golang": {"sidecar/internal/telemetry/..."},
	"go.opentelemetry.io/otel":            {"sidecar/internal/telemetry/..."},

	// For tests, and for packages that are made of tests.
	"github.com/google/go-cmp":        {"sidecar/internal/store/storetest", "internal/testkit/..."},
	"github.com/rogpeppe/go-internal": {"internal/testkit/..."},
	"go.uber.org/goleak":              {"internal/testkit/..."},
}

// configFile is the one file below environmentFree that reads the environment.
const configFile = "sidecar/internal/config/config.go"

// environmentFree are the packages that are handed their settings, so that
// two of them can run in one process and a test can set what it likes.
var environmentFree = []string{"middleware/...", "sidecar/..."}

// initFiles may have an init function, for what must happen before main.
var initFiles = []string{
	"plugins/sdk/hosted.go", // keeps what a plugin prints from being taken for the handshake
}

// maxLines is the longest a file may be that a person has to read. Tests and
// generated files may be longer.
const maxLines = 450
