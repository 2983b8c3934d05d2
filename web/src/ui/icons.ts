/** The icons, drawn for a square of 24. */
export const icons = {
  back: "M20 11H7.8l5.6-5.6L12 4l-8 8 8 8 1.4-1.4L7.8 13H20z",
  run: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  power: "M11 3h2v9h-2zM7.1 5.5 8.5 7A6 6 0 1 0 15.500 7l1.400-1.500a8 8 0 1 1-9.800 0z",
  reset: "M12 5V1L7 6l5 5V7a5 5 0 1 1-5 5H5a7 7 0 1 0 7-7z",
  keys: "M3 6h18v12H3zM5 8v2h2V8zm4 0v2h2V8zm4 0v2h2V8zm4 0v2h2V8zM5 12v2h2v-2zm12 0v2h2v-2zm-8 0v2h6v-2z",
  paste: "M9 2h6v2h4v18H5V4h4zm-2 4v14h10V6h-2v2H9V6zm2 5h6v2H9zm0 4h6v2H9z",
  full: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
  picture: "M9 4h6l1.500 2H21v14H3V6h4.500zM12 8.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9z",
  record: "M12 5a7 7 0 1 1 0 14 7 7 0 0 1 0-14z",
  stop: "M6 6h12v12H6z",
  save: "M5 3h11l3 3v15H5zm3 2v4h7V5zm4 8a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  scale: "M3 5h18v14H3zm2 2v10h14V7zm2 2h5v5H7z",
  text: "M5 4h14v4h-2V6h-4v12h2v2H9v-2h2V6H7v2H5z",
  leave: "M10 4v2H6v12h4v2H4V4zm5 3 5 5-5 5-1.400-1.400L16.200 13H9v-2h7.200l-2.600-2.600z",
  people:
    "M9 5a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7zm0 8c3.300 0 6 1.700 6 4v2H3v-2c0-2.300 2.700-4 6-4zm7-7a3 3 0 1 1 0 6zm1 7.200c2.400.400 4 1.800 4 3.800v2h-4z",
  more: "M5 10h4v4H5zm5 0h4v4h-4zm5 0h4v4h-4z",
} as const;
