/// A frame being written: JSON, and the places where a deflate block should end.
struct FrameWriter {
    var json = JSONWriter()
    private(set) var blockEnds: [Int] = []
    /// A block's own Huffman code costs about this many bytes of text.
    private static let leastBlock = 1_024

    /// What follows is of another nature than what came before.
    mutating func endBlock() {
        let end = json.bytes.count
        if end - (blockEnds.last ?? 0) >= Self.leastBlock { blockEnds.append(end) }
    }

    /// Frames above this many bytes, pages of a fill, are compressed three times as fast for a tenth more bytes.
    private static let large = 256 << 10

    /// The compressed frame.
    consuming func compressed() throws -> [UInt8] {
        let end = json.bytes.count
        let ends = blockEnds.filter { end - $0 >= Self.leastBlock }
        return try Deflate.compress(
            json.bytes, level: end > Self.large ? 2 : 6, dictionary: FrameDictionary.bytes, blockEnds: ends)
    }
}

/// The preset dictionary of all frames: the protocol's own words, the likeliest last.
public enum FrameDictionary {
    public static let bytes: [UInt8] = Array(
        ##"""
        "known":"tail":"fork":"rollback":"identifierTaken":"derived":"replica":"hashes":"json":"names":"integers":"covers":"alphabet":"verdicts":[["unknown-dot"]],"fill":true,"more":true,"sequence":["counts":[1],"count":["elements":{"n":1,"ms":["scope":["new":{"n":1,"ms":[],"counts":[1]},"own":"stamps":["number":["time":["stamp":["element":[],"text":{"100":["20":["70,1,0"],"supersedes":{"replicas":[],"replica":["page":{"n":1,"shapes":[[5,3,0,1]],"shape":[],"records":{"n":1,"ms":[],"counts":[1]},{"push":{"taken":1,"acknowledgement":"","verdicts":[]},"from":"","cursor":"","more":false,"fill":false,"positions":[],"time":1,"page":{"epoch":"","cursor":"","acknowledgement":"","logs":[[65537,0,"0000000000000000",1]],"operations":{"n":1,"shapes":[[3,5,3,100,8,0]],"shape":[],"at":[],"salt":[],"ids":{"n":1,"ms":[],"counts":[1]},"elements":{"n":1,"ms":[],"counts":[1]},"target":[],"element":[]}}
        """##.utf8)
}
