"""The network: HTTP, downloads, the Internet Archive, yt-dlp."""
