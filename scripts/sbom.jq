# From what scripts/sbom found out about each program to SPDX 2.3: https://spdx.github.io/spdx-spec/v2.3/

def parts:
	.text
	| capture("^decant(-pack)? (?<decant>[0-9.]+) \\(zstd (?<zstd>[0-9.]+), xxHash (?<xxHash>[0-9.]+), musl (?<musl>[0-9.]+)\\)$")
	// error("cannot tell the versions in: \(.text)");

# Licences as their authors give them; of zstd's two, decant takes the BSD one.
def library($version):
	{
		name: .,
		SPDXID: "SPDXRef-\(.)-\($version)",
		versionInfo: $version,
		downloadLocation: "NOASSERTION",
		filesAnalyzed: false,
		primaryPackagePurpose: "LIBRARY"
	} + {
		zstd: {
			homepage: "https://facebook.github.io/zstd/",
			licenseDeclared: "BSD-3-Clause OR GPL-2.0-only",
			licenseConcluded: "BSD-3-Clause",
			cpe: "cpe:2.3:a:facebook:zstandard:\($version):*:*:*:*:*:*:*"
		},
		xxHash: {
			homepage: "https://xxhash.com/",
			licenseDeclared: "BSD-2-Clause",
			licenseConcluded: "BSD-2-Clause"
		},
		musl: {
			homepage: "https://musl.libc.org/",
			licenseDeclared: "MIT",
			licenseConcluded: "MIT",
			cpe: "cpe:2.3:a:musl-libc:musl:\($version):*:*:*:*:*:*:*"
		}
	}[.]
	| if .cpe then
		.externalRefs = [{referenceCategory: "SECURITY", referenceType: "cpe23Type", referenceLocator: .cpe}]
	  else . end
	| del(.cpe);

def program($id):
	{
		name: .name,
		SPDXID: $id,
		versionInfo: parts.decant,
		packageFileName: .name,
		downloadLocation: "NOASSERTION",
		filesAnalyzed: false,
		checksums: [{algorithm: "SHA256", checksumValue: .sum}],
		licenseDeclared: "MIT",
		licenseConcluded: "MIT AND BSD-3-Clause AND BSD-2-Clause",
		primaryPackagePurpose: "APPLICATION"
	};

to_entries
| map(.value + {id: "SPDXRef-program-\(.key + 1)"})
| . as $programs
| [.[] | . as $program | parts | del(.decant) | to_entries[] | {$program, library: (.key as $name | .value as $version | $name | library($version))}]
| {
	spdxVersion: "SPDX-2.3",
	dataLicense: "CC0-1.0",
	SPDXID: "SPDXRef-DOCUMENT",
	name: ($programs | map(.name) | join("-and-")),
	# Unique, as the specification wants it, and the same for the same programs: their sums name it.
	documentNamespace: "https://spdx.org/spdxdocs/decant-\($programs[0] | parts.decant)-\($programs | map(.sum[:32]) | join("-"))",
	creationInfo: {
		created: ($epoch | todate),
		creators: ["Tool: decant-sbom-\($programs[0] | parts.decant)"]
	},
	packages: (($programs | map(. as $p | program($p.id))) + (map(.library) | unique_by(.SPDXID))),
	relationships: (
		($programs | map({spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: .id})) +
		map({spdxElementId: .program.id, relationshipType: "STATIC_LINK", relatedSpdxElement: .library.SPDXID})
	)
}
