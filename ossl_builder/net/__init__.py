"""Network access: HTTP, downloads, the Internet Archive, yt-dlp."""
