// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "shoal",
    products: [
        .library(name: "ShoalCRDT", targets: ["ShoalCRDT"]),
        .library(name: "ShoalProtocol", targets: ["ShoalProtocol"]),
        .library(name: "ShoalClient", targets: ["ShoalClient"]),
        .library(name: "ShoalServer", targets: ["ShoalServer"]),
        .executable(name: "shoal", targets: ["shoal"]),
        .executable(name: "shoald", targets: ["shoald"]),
        .executable(name: "shoal-bench", targets: ["shoal-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // System libraries.
        .systemLibrary(
            name: "CSQLite", path: "Sources/CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // The protocol: the kernel, then what both sides speak.
        .target(name: "ShoalCRDT", path: "Protocol/ShoalCRDT"),
        .target(name: "ShoalProtocol", dependencies: ["ShoalCRDT", "CZlib"], path: "Protocol/ShoalProtocol"),

        // The record store, shared by client and server.
        .target(
            name: "ShoalStore",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "CSQLite", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ]),

        .target(
            name: "ShoalClient",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalStore", "CSQLite",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
            ], path: "Client/ShoalClient"),
        .target(
            name: "ShoalServer",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalStore", "CSQLite",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], path: "Server/ShoalServer"),

        // The whole system in one process, with simulated disks.
        .target(
            name: "ShoalSimulation",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalStore", "ShoalClient", "ShoalServer", "CSQLite",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ], exclude: ["DESIGN.md"]),

        // The programs, and what they print with.
        .target(name: "ShoalTerminal"),
        .executableTarget(
            name: "shoal",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalClient", "ShoalTerminal",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "shoald",
            dependencies: [
                "ShoalProtocol", "ShoalServer", "ShoalTerminal",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "shoal-bench",
            dependencies: [
                "ShoalClient", "ShoalServer", "ShoalSimulation", "ShoalTerminal", "CZlib",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]),

        // Tests, a folder a target.
        .testTarget(name: "ShoalCRDTTests", dependencies: ["ShoalCRDT"]),
        .testTarget(name: "ShoalProtocolTests", dependencies: ["ShoalCRDT", "ShoalProtocol"]),
        .testTarget(
            name: "ShoalStoreTests",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalStore", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .testTarget(name: "ShoalTerminalTests", dependencies: ["ShoalTerminal"]),
        .testTarget(name: "ShoalClientTests", dependencies: ["ShoalClient"]),
        .testTarget(
            name: "ShoalServerTests",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalServer", "ShoalStore",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalStore", "ShoalClient", "ShoalServer", "ShoalSimulation", "CSQLite",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ], exclude: ["Fixtures"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["ShoalCRDT", "ShoalProtocol", "CSQLite"], exclude: ["Traces"]),
    ],
    swiftLanguageModes: [.v6]
)

// The fuzzer (Scripts/fuzz) is no part of other builds: what it tries is built to tell it which
// branches an input takes.
if Context.environment["SHOAL_FUZZ"] != nil {
    let isPlanted = Context.environment["SHOAL_FUZZ"] == "planted"
    let instrumented: [SwiftSetting] = [
        .unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing"])
    ]
    let tried = ["ShoalCRDT", "ShoalProtocol", "ShoalStore", "ShoalClient", "ShoalServer", "ShoalTerminal"]
    for target in package.targets where tried.contains(target.name) { target.swiftSettings = instrumented }
    package.targets.append(
        .executableTarget(
            name: "shoal-fuzz",
            dependencies: [
                "ShoalCRDT", "ShoalProtocol", "ShoalClient", "ShoalServer", "ShoalTerminal",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: instrumented + (isPlanted ? [.define("PLANTED")] : []),
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}
