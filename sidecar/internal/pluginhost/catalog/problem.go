package catalog

// Problem explains why a file cannot be a plugin, to the person who wrote or
// copied it.
type Problem struct {
	// Kind is one of the Problem constants, for programs.
	Kind string `json:"kind"`

	// What is wrong, as a sentence that begins in lower case.
	What string `json:"what"`

	// Detail is the evidence: the last lines that the plugin wrote, the stack of
	// a panic, the settings that it refuses.
	Detail []string `json:"detail,omitempty"`

	// Fix is what to do about it, a command where there is one. It may be empty.
	Fix string `json:"fix,omitempty"`
}

// The kinds of problems.
const (
	ProblemMissing     = "missing"    // there is no such file
	ProblemNotFile     = "not_a_file" // a directory, a device
	ProblemUntrusted   = "untrusted"  // others could change it
	ProblemMode        = "not_executable"
	ProblemName        = "name"        // it cannot be the name of a plugin
	ProblemFormat      = "format"      // not a program, or part of one
	ProblemPlatform    = "platform"    // a program for another system or processor
	ProblemInterpreter = "interpreter" // the program that runs it is missing
	ProblemStart       = "start"       // the system refuses to run it
	ProblemCrash       = "crash"       // it ended before it was ready
	ProblemSlow        = "slow"        // it was not ready in time
	ProblemHandshake   = "handshake"   // it runs, but is not a plugin
	ProblemProtocol    = "protocol"    // it speaks another version
	ProblemDescribe    = "describe"    // its description is invalid
	ProblemSettings    = "settings"    // it refuses its settings
	ProblemDeliver     = "deliver"     // it does not take events
	ProblemManifest    = "manifest"    // the file that declares it has a mistake
	ProblemHost        = "host"        // it is not the plugin's fault
)
