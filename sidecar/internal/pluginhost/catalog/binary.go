package catalog

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// platform is an operating system and a processor, named as Go names them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

func here() platform { return platform{runtime.GOOS, runtime.GOARCH} }

// buildFor is the advice for a program that was built for another machine.
func buildFor() string {
	return fmt.Sprintf("build it with GOOS=%s GOARCH=%s go build", runtime.GOOS, runtime.GOARCH)
}

func isMachO(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case macho.Magic32, macho.Magic64, 0xcefaedfe, 0xcffaedfe:
		return true
	case macho.MagicFat: // Java classes have it too, followed by a version that is higher than any number of architectures
		return binary.BigEndian.Uint32(head[4:]) < 32
	}
	return false
}

// inspectBinary reads the headers of an executable.
func inspectBinary(path string, head []byte, size int64) (bad, foreign *Problem) {
	var built platform
	var err error
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return inspectELF(path, size)
	case isMachO(head):
		built, err = machoPlatform(path)
	default:
		built, err = pePlatform(path)
	}
	if err != nil {
		return cutShort(size, err.Error()), nil
	}
	return nil, mismatch(built)
}

func mismatch(built platform) *Problem {
	if built == here() {
		return nil
	}
	return &Problem{Kind: ProblemPlatform, What: fmt.Sprintf("it was built for %v, and this machine is %v", built, here()), Fix: buildFor()}
}

// cutShort is the problem of a binary that is shorter than its headers say.
func cutShort(size int64, why string) *Problem {
	return &Problem{Kind: ProblemFormat, What: fmt.Sprintf("the file is not complete: it has %d bytes, but %s", size, why),
		Fix: "copy it again; copy to a name that ends in .tmp first, then rename it, so that the sidecar never sees half of it"}
}

// The processors of ELF files, by Go's names.
var elfMachines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
}

var elfSystems = map[elf.OSABI]string{
	elf.ELFOSABI_FREEBSD: "freebsd", elf.ELFOSABI_NETBSD: "netbsd", elf.ELFOSABI_OPENBSD: "openbsd", elf.ELFOSABI_SOLARIS: "solaris",
}

func inspectELF(path string, size int64) (bad, foreign *Problem) {
	f, err := elf.Open(path)
	if err != nil {
		return cutShort(size, "its headers cannot be read: "+err.Error()), nil
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return &Problem{Kind: ProblemFormat, What: fmt.Sprintf("it is not a program but an object file or a core dump (%v)", f.Type),
			Fix: "build it with go build, in a directory of package main"}, nil
	}
	loader := ""
	for _, p := range f.Progs {
		if end := int64(p.Off + p.Filesz); p.Filesz > 0 && (end > size || end < 0) {
			return cutShort(size, fmt.Sprintf("its headers say %d", end)), nil
		}
		if p.Type == elf.PT_INTERP {
			b := make([]byte, min(p.Filesz, headSize))
			if _, err := p.ReadAt(b, 0); err == nil {
				loader = strings.TrimRight(string(b), "\x00")
			}
		}
	}
	for _, s := range f.Sections {
		if end := int64(s.Offset + s.FileSize); s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL && (end > size || end < 0) {
			return cutShort(size, fmt.Sprintf("its headers say %d", end)), nil
		}
	}
	built := platform{"linux", elfMachines[f.Machine]}
	if system := elfSystems[f.OSABI]; system != "" {
		built.os = system
	} else if note := noteSystem(f); note != "" {
		built.os = note
	}
	if built.arch == "" {
		built.arch = strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_"))
		if f.Machine == elf.EM_PPC64 && f.Data == elf.ELFDATA2LSB {
			built.arch = "ppc64le"
		}
	}
	if foreign = mismatch(built); foreign != nil {
		return nil, foreign
	}
	if loader != "" {
		if _, err := os.Stat(loader); err != nil {
			return &Problem{Kind: ProblemInterpreter, What: fmt.Sprintf("it needs the loader %s, which is not on this machine: it was built for another C library", loader),
				Fix: "link it statically: CGO_ENABLED=0 go build"}, nil
		}
	}
	return nil, nil
}

// noteSystem finds the system in a note section, where most BSDs put it.
func noteSystem(f *elf.File) string {
	for section, system := range map[string]string{
		".note.openbsd.ident": "openbsd", ".note.netbsd.ident": "netbsd",
	} {
		if f.Section(section) != nil {
			return system
		}
	}
	return ""
}

func machoPlatform(path string) (platform, error) {
	name := func(c macho.Cpu) string {
		switch c {
		case macho.CpuAmd64:
			return "amd64"
		case macho.CpuArm64:
			return "arm64"
		}
		return strings.ToLower(strings.TrimPrefix(c.String(), "Cpu"))
	}
	if fat, err := macho.OpenFat(path); err == nil {
		defer fat.Close()
		built := platform{"darwin", name(fat.Arches[0].Cpu)}
		for _, arch := range fat.Arches {
			if name(arch.Cpu) == runtime.GOARCH {
				built.arch = runtime.GOARCH
			}
		}
		return built, nil
	}
	f, err := macho.Open(path)
	if err != nil {
		return platform{}, fmt.Errorf("its headers cannot be read: %w", err)
	}
	defer f.Close()
	return platform{"darwin", name(f.Cpu)}, nil
}

func pePlatform(path string) (platform, error) {
	f, err := pe.Open(path)
	if err != nil {
		return platform{}, fmt.Errorf("its headers cannot be read: %w", err)
	}
	defer f.Close()
	machines := map[uint16]string{
		pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386",
	}
	arch := machines[f.Machine]
	if arch == "" {
		arch = fmt.Sprintf("machine %#x", f.Machine)
	}
	return platform{"windows", arch}, nil
}
