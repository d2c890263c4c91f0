/// A whole disk at a moment: what programs read, and what of it the medium may not have yet.
///
/// A value; taking, keeping and restoring one copies no bytes.
public struct DiskImage: Sendable {
    var files: [Int: FileContent] = [:]
    /// Names as programs see them, and as of the directory's last sync.
    var entries: [String: Int] = [:]
    var durableEntries: [String: Int] = [:]
    /// What survives a loss of power whole or torn: 512 or 4,096 bytes.
    public let sector: Int

    /// An empty disk.
    public init(sector: Int = 512) { self.sector = sector }

    /// The disk as it may be found after a loss of power at this moment; all of it is durable.
    public func afterPowerLoss(seed: UInt64) -> DiskImage {
        var loss = PowerLoss(seed: seed, sector: sector)
        var image = DiskImage(sector: sector)
        image.entries = loss.entries(durable: durableEntries, current: entries)
        image.durableEntries = image.entries
        for id in image.entries.values.sorted() {
            if let file = files[id] { image.files[id] = loss.image(of: file) }
        }
        return image
    }

    /// The names of its files, sorted.
    public var names: [String] { entries.keys.sorted() }

    /// The bytes of a file, as programs read them.
    public subscript(name: String) -> [UInt8]? {
        get { entries[name].flatMap { files[$0] }?.bytes }
        set {
            if let id = entries.removeValue(forKey: name) { files[id] = nil }
            durableEntries[name] = nil
            guard let newValue else { return }
            let id = (files.keys.max() ?? 0) + 1
            var content = FileContent()
            newValue.withUnsafeBytes { content.write($0, at: 0) }
            content.sync()
            files[id] = content
            entries[name] = id
            durableEntries[name] = id
        }
    }

    /// How many bytes its files take.
    public var size: Int { entries.values.reduce(0) { $0 + (files[$1]?.size ?? 0) } }

    /// How many pages and names a loss of power could take back.
    public var unsynced: Int {
        entries.values.reduce(0) { $0 + (files[$1]?.unsynced.count ?? 0) }
            + Set(entries.keys).union(durableEntries.keys).count { entries[$0] != durableEntries[$0] }
    }
}
