// What the page asks below /bridge-payment is answered by the shop, so that both are one origin to the browser.
const shop = process.env.SHOP ?? "http://127.0.0.1:8000";

export default {
  rewrites: async () => [{ source: "/bridge-payment/:path*", destination: `${shop}/bridge-payment/:path*` }],
};
