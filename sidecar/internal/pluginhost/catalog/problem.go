package catalog

// Problem says why a file cannot be a plugin, for the person who wrote or
// copied it.
type Problem struct {
	// Kind is one of the Problem constants, for programs.
	Kind string `json:"kind"`

	// What is wrong, in a sentence without a capital letter.
	What string `json:"what"`

	// Detail is what there is to see: the last lines that the plugin wrote,
	// the stack of a panic, the fields of its settings that it refuses.
	Detail []string `json:"detail,omitempty"`

	// Fix is what to do: a command where there is one. It may be empty.
	Fix string `json:"fix,omitempty"`
}

// The kinds of problems.
const (
	ProblemMissing     = "missing"    // there is no such file
	ProblemNotFile     = "not_a_file" // a directory, a device
	ProblemUntrusted   = "untrusted"  // others could change it
	ProblemMode        = "not_executable"
	ProblemName        = "name"        // the host would not know the plugin by it
	ProblemFormat      = "format"      // not a program at all, or a piece of one
	ProblemPlatform    = "platform"    // a program for another system or processor
	ProblemInterpreter = "interpreter" // what it is run by is not there
	ProblemStart       = "start"       // the system does not run it
	ProblemCrash       = "crash"       // it ended before it was ready
	ProblemSlow        = "slow"        // it was not ready in time
	ProblemHandshake   = "handshake"   // it runs, but is no plugin
	ProblemProtocol    = "protocol"    // it is one of another version
	ProblemDescribe    = "describe"    // what it says of itself is not in order
	ProblemSettings    = "settings"    // it refuses its settings
	ProblemDeliver     = "deliver"     // it takes no events
	ProblemManifest    = "manifest"    // the file that declares it has a mistake
	ProblemHost        = "host"        // it is not the plugin's fault
)
